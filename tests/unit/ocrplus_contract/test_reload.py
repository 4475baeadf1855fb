"""The inner loop's restarts."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from ocrplus_contract import reload

PROGRAM = """\
import sys, time
import ocrplus_thing
print(ocrplus_thing.WORD, flush=True)
if ocrplus_thing.WORD == "last":
    sys.exit(7)
time.sleep(60)
"""
FOLLOW = """\
import sys
from pathlib import Path
from ocrplus_contract import reload
sys.exit(reload.follow([sys.executable, sys.argv[1]], Path(sys.argv[2])))
"""


def test_a_change_starts_the_service_anew_with_the_changed_code(tmp_path: Path) -> None:
    site, folder = tmp_path / "site", tmp_path / "src"
    (site / "ocrplus_thing").mkdir(parents=True)
    (site / "ocrplus_thing" / "__init__.py").write_text("WORD = 'first'\n")
    reload.copy_packages(site, folder)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    with subprocess.Popen(
        [sys.executable, "-c", FOLLOW, str(program), str(folder)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "first\n"
            time.sleep(0.6)  # a file system's stamps are coarse
            (folder / "ocrplus_thing" / "__init__.py").write_text("WORD = 'last'\n")
            assert "starts anew" in child.stdout.readline()
            assert child.stdout.readline() == "last\n"
            assert child.wait(10) == 7
        finally:
            child.send_signal(signal.SIGKILL)
    assert (site / "ocrplus_thing" / "__init__.py").read_text() == "WORD = 'first'\n"
