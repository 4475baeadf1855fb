"""Settings of the operator, from the environment alone; what a pool needs stands in its resource.

The contract's settings are not imported: operator and services share records, not code. A test
holds these names to the ones that the contract knows.
"""

import os
import socket
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "OCRPLUS_"


class LoopSettings(BaseModel):
    """How the operator runs."""

    model_config = ConfigDict(frozen=True)

    namespace: str = Field(
        default="",
        pattern=r"^[a-z0-9-]{0,63}$",
        description="Namespace whose WorkerPools are looked after; default: the pod's own, or the "
        "kubeconfig's.",
    )
    identity: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="Unique name of this replica in the Lease; default: the host name.",
    )
    tick_seconds: float = Field(
        default=3.0, gt=0, le=60, description="How often each pool is looked at."
    )
    survey_seconds: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="How often what changes seldom is read: other scalers, quotas, the Secret.",
    )
    status_seconds: float = Field(
        default=10.0, ge=0, description="Status is written on change, at most this often."
    )
    lease_name: str = Field(
        default="ocrplus-operator",
        pattern=r"^[a-z0-9.-]{1,253}$",
        description="Lease by which one of the replicas leads.",
    )
    lease_seconds: int = Field(
        default=15, ge=3, description="Without a renewal for this long another replica leads."
    )


class OperatorSettings(BaseSettings):
    """One operator process."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    host: str = Field(
        default="127.0.0.1", description="Address to listen on; 0.0.0.0 inside a container."
    )
    metrics_port: int = Field(
        default=9104,
        ge=0,
        le=65535,
        description="Port of /metrics, /livez and /readyz; 0 = a free one, printed.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    operator: LoopSettings = Field(default_factory=LoopSettings)

    @model_validator(mode="after")
    def _refuse_unknown_variables(self) -> Self:
        known = known_variables()
        unknown = sorted(n for n in os.environ if n.startswith(PREFIX) and n not in known)
        if unknown:
            raise ValueError(f"unknown variables {', '.join(unknown)}: see docs/configuration.md")
        return self


def problems_of(error: ValidationError) -> str:
    """What is wrong with settings, without what was given."""
    return "; ".join(
        ": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"])))
        for one in error.errors(include_input=False, include_url=False, include_context=False)
    )


def known_variables() -> frozenset[str]:
    """Every variable that an operator may be given."""
    own = {PREFIX + name.upper() for name in OperatorSettings.model_fields if name != "operator"}
    nested = {f"{PREFIX}OPERATOR__{name.upper()}" for name in LoopSettings.model_fields}
    return frozenset(own | nested)
