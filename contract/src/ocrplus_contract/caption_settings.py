"""The settings of captions, `OCRPLUS_CAPTION__…`: what the gateway and what the workers need."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CaptionWaiting(BaseModel):
    """What results have to do with captions."""

    model_config = ConfigDict(frozen=True)

    enabled: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether figures are described: auto = if a caption worker has run within "
        "OCRPLUS_RESULT_TTL_SECONDS; on = also while none has (they are scaled from zero).",
    )
    deadline_seconds: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="A result waits for its captions for so long after the last page; not at all "
        "while the circuit breaker is open.",
    )
    give_up_seconds: float = Field(
        default=900,
        ge=0,
        description="Captions that nobody has begun so long after the result are given up; at "
        "most half of OCRPLUS_RESULT_TTL_SECONDS.",
    )


class CaptionSettings(BaseModel):
    """How figures are described."""

    model_config = ConfigDict(frozen=True)

    model: str = Field(default="qwen-vl-max", description="Name of the model, sent with each call.")
    prompt: str = Field(
        default="describe-1",
        pattern=r"^[a-z0-9.-]{1,64}$",
        description="Version of the prompt: a file of services/caption-worker, in each result.",
    )
    concurrency: int = Field(default=16, ge=1, le=512, description="Calls in flight a process.")
    requests_per_minute: int = Field(
        default=600,
        ge=0,
        description="Calls a minute of all processes that share a key; a slot is free again 60 s "
        "after its answer. 0 = no limit.",
    )
    stream: bool = Field(
        default=False, description="Ask for answers piece by piece, as some models demand."
    )
    connect_seconds: float = Field(
        default=10, gt=0, description="The endpoint has so long to take a connection."
    )
    read_seconds: float = Field(
        default=180, gt=0, description="It has so long to begin or go on with its answer."
    )
    call_seconds: float = Field(
        default=300, gt=0, description="A whole call may take so long, however it drips."
    )
    attempts: int = Field(
        default=3, ge=1, le=10, description="Calls for a figure, at most, when they fail."
    )
    retry_seconds: float = Field(
        default=1.0,
        gt=0,
        description="Pause before the second call for a figure; doubled by each further one, half "
        "to one and a half of it at random.",
    )
    max_pixels: int = Field(
        default=1_310_720, ge=4096, description="Larger pictures are sent scaled down to this."
    )
    max_tokens: int = Field(default=600, ge=16, description="Most tokens of an answer.")
    most_characters: int = Field(
        default=1200, ge=40, le=8000, description="Longer descriptions are cut at a sentence."
    )
    least_area_points: float = Field(
        default=1600,
        ge=0,
        description="Figures with less area on the page, in square points, are not described.",
    )
    most_aspect: float = Field(
        default=12, gt=1, description="Nor are figures more oblong than this (rules, ribbons)."
    )
    budget_job: int = Field(
        default=2000, ge=0, description="Figures of one job that the model is asked about; 0 = all."
    )
    budget_user_day: int = Field(
        default=20_000, ge=0, description="The same for one user and day (UTC); 0 = all."
    )
    breaker_failures: int = Field(
        default=5, ge=1, description="So many failures in a row open the circuit breaker."
    )
    breaker_seconds: float = Field(
        default=15,
        gt=0,
        description="After so long one call tries again; each failure doubles it, up to 20 times.",
    )
    price_input: float = Field(
        default=0, ge=0, description="Price of a million tokens sent, for the cost metric."
    )
    price_output: float = Field(
        default=0, ge=0, description="Price of a million tokens answered, for the cost metric."
    )
    currency: str = Field(
        default="CNY", pattern=r"^[A-Z]{3}$", description="Currency of these prices."
    )
