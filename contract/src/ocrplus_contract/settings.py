"""Settings of every process, from the environment alone (prefix `OCRPLUS_`).

They stand together here because an unknown `OCRPLUS_…` variable refuses start-up, and "unknown"
means unknown to every room: one set of variables configures the whole deployment.
Any variable may also be given as `…_FILE`, the path of a file that holds the value.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from ocrplus_contract.auth_settings import AuthSettings
from ocrplus_contract.caption_settings import CaptionSettings, CaptionWaiting
from ocrplus_contract.s3_settings import AWS_KEYS, S3Environment

PREFIX: Final = "OCRPLUS_"
_FILE_SUFFIX: Final = "_FILE"
_OTHERS: Final = ("OPENAI_BASE_URL", "OPENAI_API_KEY", *AWS_KEYS)  # not ours by name


class _EnvOrFile(EnvSettingsSource):
    """The environment, with `NAME_FILE` read where `NAME` is not set."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        variables = dict(super()._load_env_vars())
        suffix = _FILE_SUFFIX.lower()
        others = {variable.lower() + suffix for variable in _OTHERS}
        for name, path in list(variables.items()):
            ours = name.startswith(PREFIX.lower()) or name in others
            if ours and name.endswith(suffix) and path:
                variables.setdefault(name.removesuffix(suffix), Path(path).read_text().strip())
        return variables


def problems_of(error: ValidationError) -> str:
    """What is wrong with settings, without what was given: that may be a password."""
    return "; ".join(
        ": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"])))
        for one in error.errors(include_input=False, include_url=False, include_context=False)
    )


class CommonSettings(S3Environment):
    """What every process needs to know."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # it would print passwords
    )

    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis 7 or Valkey server for work, events and results: redis://, rediss:// "
        "(TLS; ?ssl_ca_certs=FILE) or redis+sentinel://:password@host:26379,host:26379/MASTER/0.",
    )
    broker_url: SecretStr | None = Field(
        default=None, description="Celery's server, when it is not the one of OCRPLUS_REDIS_URL."
    )
    key_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.-]{0,64}$")] = Field(
        default="", description="Before every Redis key, so that deployments can share a server."
    )
    blob_url: str = Field(
        default="redis://",
        description="Where uploads and figures lie: file:///dir, redis:// (the same server; "
        "uploads above its free memory are refused), or s3://bucket/prefix.",
    )
    result_ttl_seconds: int = Field(
        default=86400, ge=60, description="Results, figures and events are kept this long."
    )
    job_deadline_seconds: int = Field(
        default=86400, ge=60, description="A job that is not done by then is given up as failed."
    )
    host: str = Field(
        default="127.0.0.1", description="Address to listen on; 0.0.0.0 inside a container."
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port of /metrics; 0 = a free one, printed."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )

    @field_validator("redis_url", "broker_url")
    @classmethod
    def _can_be_read(cls, url: SecretStr | None) -> SecretStr | None:
        """Else whoever reads it first complains with half a password in its text."""
        parts = urlsplit(url.get_secret_value() if url is not None else "")
        try:
            if "sentinel" not in parts.scheme:
                _ = parts.port
                if parts.netloc and not parts.hostname:  # a password was cut at its / or #
                    raise ValueError
        except ValueError:
            raise ValueError(
                "is no URL: special characters of a password are written as %XX"
            ) from None
        return url

    @property
    def blob_ttl_seconds(self) -> int:
        """Blobs outlive the job that may wait until its deadline, and its result."""
        return self.job_deadline_seconds + self.result_ttl_seconds

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _EnvOrFile(settings_cls)

    @model_validator(mode="after")
    def _refuse_unknown_variables(self) -> Self:
        known = known_variables()
        unknown = sorted(
            name
            for name in os.environ
            if name.startswith(PREFIX) and name.removesuffix(_FILE_SUFFIX) not in known
        )
        if unknown:
            raise ValueError(
                f"unknown variables {', '.join(unknown)}: remove them or see docs/configuration.md"
            )
        return self


class GatewaySettings(CommonSettings):
    """The gateway."""

    port: int = Field(default=8080, ge=0, le=65535, description="Port of HTTP and WebSocket.")
    metrics_port: int = Field(
        default=9101, ge=0, le=65535, description="Port of /metrics; 0 = a free one, printed."
    )
    auth: AuthSettings = AuthSettings()
    caption: CaptionWaiting = CaptionWaiting()
    max_pdf_bytes: int = Field(
        default=104857600, ge=1024, description="Documents above this many bytes are refused."
    )
    max_pages: int = Field(
        default=2000, ge=1, description="Documents with more pages than this are refused."
    )
    max_waiting_pages: int = Field(
        default=100_000, ge=1, description="Above this backlog submissions are answered `busy`."
    )
    max_user_pages: int = Field(
        default=20_000, ge=1, description="The same for one user's waiting pages."
    )
    max_user_tasks: int = Field(
        default=1000, ge=1, description="Most unfinished tasks of one user; above: `busy`."
    )
    max_user_connections: int = Field(
        default=64, ge=1, description="WebSockets and event streams of one user per gateway."
    )
    max_connections: int = Field(
        default=10_000, ge=1, description="WebSockets of one gateway; above: closed with 1013."
    )
    messages_per_second: float = Field(
        default=100, gt=0, description="Messages a client may send, over ten seconds; then 4429."
    )
    send_seconds: float = Field(
        default=30,
        gt=0,
        description="A client that takes nothing for so long is cut; a slow one is not.",
    )
    ping_seconds: int = Field(
        default=20, ge=1, le=20, description="How often a WebSocket is pinged, that it is not cut."
    )
    pong_seconds: float = Field(
        default=120,
        gt=0,
        description="A WebSocket without a pong for so long is closed with 4012; one queues behind "
        "the client's own upload.",
    )
    gap_seconds: float = Field(
        default=45,
        gt=0,
        description="A gateway that has heard nothing from Redis for so long closes its sockets "
        "with 4010: another may hear.",
    )
    inspection_seconds: float = Field(
        default=20, gt=0, le=300, description="Wall seconds that opening a PDF may take."
    )
    inspection_megabytes: int = Field(
        default=1024, ge=128, description="Address space in MiB that opening a PDF may take."
    )
    inspections: int = Field(
        default=2, ge=1, le=64, description="PDFs that one gateway opens at the same time."
    )
    chunk_seconds: float = Field(
        default=20, gt=0, description="Expected seconds of work that one chunk holds."
    )
    chunk_pages: int = Field(default=16, ge=1, le=256, description="Most pages of one chunk.")
    text_page_seconds: float = Field(
        default=0.7, gt=0, description="Expected seconds of a page with a text layer."
    )
    ocr_page_seconds: float = Field(
        default=6.0, gt=0, description="Expected seconds of a scanned page; about 1 on a GPU."
    )
    text_source: Literal["auto", "ocr", "text_layer"] = Field(
        default="auto", description="Default of the option of the same name."
    )
    lease_seconds: int = Field(
        default=60, ge=2, description="A taken chunk without a heartbeat is taken again after this."
    )
    reconcile_seconds: float = Field(
        default=3, gt=0, description="How often doorbells, leases and deadlines are looked after."
    )
    shutdown_seconds: float = Field(
        default=20,
        ge=0,
        description="On SIGTERM sockets are closed in slices over half of this; requests get all.",
    )
    sweep_seconds: float = Field(
        default=60, gt=0, description="How often files of expired and deleted tasks are removed."
    )

    @property
    def max_frame_bytes(self) -> int:
        """The largest WebSocket message: a document as base64 in JSON."""
        return -(-self.max_pdf_bytes * 4 // 3) + 4096


class OcrSettings(CommonSettings):
    """One OCR worker."""

    metrics_port: int = Field(
        default=9102, ge=0, le=65535, description="Port of /metrics; 0 = a free one, printed."
    )
    device: str = Field(
        default="cpu", pattern=r"^(cpu|gpu(:\d+)?)$", description="cpu, gpu or gpu:N."
    )
    engine: Literal["onnxruntime", "paddle"] | None = Field(
        default=None,
        description="PP-StructureV3's inference engine; default onnxruntime on cpu, paddle on gpu.",
    )
    models_dir: Path | None = Field(
        default=None,
        description="Model pack or a directory of official models; default: the user's cache.",
    )
    engine_threads: int = Field(
        default=0,
        ge=0,
        description="Inference threads of one engine on CPUs; 0 = the machine's cores, 2 beside a "
        "GPU.",
    )
    workers_per_replica: int = Field(
        default=1, ge=1, le=16, description="Engine processes of this pod."
    )
    pod_name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,128}$",
        description="Unique name of this replica; default: host name and process id.",
    )
    lease_seconds: int = Field(
        default=60, ge=2, description="A taken chunk without a heartbeat is taken again after this."
    )
    page_deadline_seconds: int = Field(
        default=120, ge=5, description="A page in hand for longer ends its process."
    )
    render_seconds: int = Field(
        default=30,
        ge=1,
        description="CPU seconds, and half as many again by the clock, after which a page that is "
        "being rendered fails alone; at most a quarter of the page deadline.",
    )
    render_megabytes: int = Field(
        default=1024,
        ge=256,
        description="Address space in MiB of the process that renders; a page that needs more "
        "fails alone.",
    )
    markdown_steps_off: str = Field(
        default="",
        pattern=r"^[a-z_,\s]*$",
        description="Steps between the engine's blocks and the Markdown that are left out, by "
        "name; `all` for the bare engine's own blocks.",
    )


class CaptionWorkerSettings(CommonSettings):
    """One caption worker."""

    metrics_port: int = Field(
        default=9103, ge=0, le=65535, description="Port of /metrics; 0 = a free one, printed."
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias="OPENAI_BASE_URL",
        pattern=r"^https?://",
        description="Endpoint that speaks the OpenAI protocol; default: OpenAI's own.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="OPENAI_API_KEY",
        description="Its key. Without a key and an endpoint captions are off.",
    )
    caption: CaptionSettings = CaptionSettings()
    pod_name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,128}$",
        description="Unique name of this replica; default: host name and process id.",
    )
    lease_seconds: int = Field(
        default=60, ge=2, description="A taken chunk without a heartbeat is taken again after this."
    )
    shutdown_seconds: float = Field(
        default=20,
        ge=0,
        description="On SIGTERM calls have so long to end; then their figures are given back.",
    )

    @property
    def captions_configured(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self.openai_base_url) or self.openai_api_key is not None


ROOM_SETTINGS: Final[tuple[type[CommonSettings], ...]] = (
    GatewaySettings,
    OcrSettings,
    CaptionWorkerSettings,
)


# The operator's settings stand with it, since it shares no code; its names are known here, so that
# one set of variables may configure all. A test holds them together.
OPERATOR_VARIABLES: Final = frozenset(
    f"{PREFIX}OPERATOR__{name}"
    for name in (
        "NAMESPACE",
        "IDENTITY",
        "TICK_SECONDS",
        "SURVEY_SECONDS",
        "STATUS_SECONDS",
        "LEASE_NAME",
        "LEASE_SECONDS",
    )
)


def known_variables() -> frozenset[str]:
    """Every environment variable of every room, by its full name."""
    services = {name for settings in ROOM_SETTINGS for name in _variables(settings, PREFIX)}
    return frozenset(services | OPERATOR_VARIABLES)


def _variables(model: type[BaseModel], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        variable = str(field.validation_alias or prefix + name.upper())
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found.update(_variables(field.annotation, variable + "__"))
        else:
            found[variable] = field
    return found
