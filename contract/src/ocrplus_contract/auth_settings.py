"""Settings of who may use the gateway: by tokens, by JWTs, from which web pages."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class AuthSettings(BaseModel):
    """Who may use the gateway."""

    model_config = ConfigDict(frozen=True)

    mode: Literal["none", "token", "jwt"] = Field(
        default="none",
        description="none: everybody who reaches the port (asked for by name beyond loopback); "
        "token: keys from a file; jwt: signed tokens of an identity provider.",
    )
    tokens: SecretStr | None = Field(
        default=None,
        description="Keys of mode token, one `token user` or `token *` (every user) a line.",
    )
    tokens_file: Path | None = Field(
        default=None, description="File of such lines; read again whenever it changes."
    )
    jwks_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Public keys of mode jwt (RS, PS, ES, EdDSA); fetched again for unknown ones.",
    )
    jwt_secret: SecretStr | None = Field(
        default=None, description="Shared secret of mode jwt (HS256, HS384, HS512), 32 bytes up."
    )
    issuer: str | None = Field(default=None, description="`iss` that a JWT must carry.")
    audience: str | None = Field(default=None, description="`aud` that a JWT must carry.")
    leeway_seconds: int = Field(
        default=30, ge=0, le=300, description="How far clocks may differ where `exp` is checked."
    )
    origins: str = Field(
        default="",
        description="Web pages that may use this service from a browser, besides those of its own "
        "host: origins such as https://app.example.org, by commas; * = all.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mode == "token" and self.tokens is None and self.tokens_file is None:
            raise ValueError("mode token needs OCRPLUS_AUTH__TOKENS_FILE (or …TOKENS)")
        if self.mode == "jwt":
            if (self.jwks_url is None) == (self.jwt_secret is None):
                raise ValueError("mode jwt needs one of …JWKS_URL and …JWT_SECRET")
            if self.issuer is None or self.audience is None:
                raise ValueError("mode jwt needs …ISSUER and …AUDIENCE")
            if self.jwt_secret and len(self.jwt_secret.get_secret_value().encode()) < 32:
                raise ValueError("…JWT_SECRET is shorter than 32 bytes")
        return self
