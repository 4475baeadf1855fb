"""How an S3-compatible bucket is reached: `AWS_…` as everywhere, `OCRPLUS_S3__…` for the rest.

The `AWS_…` variables stand here only because they may be given as files too; every other one that
the AWS tools know (web identity, container and instance roles) is read by the client itself.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings

AWS_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class S3Settings(BaseModel):
    """A bucket, where `OCRPLUS_BLOB_URL` names one."""

    model_config = ConfigDict(frozen=True)

    addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto",
        description="Whether the bucket stands in the path (https://host/bucket) or in the host's "
        "name (virtual: https://bucket.host); auto: in the path where an endpoint is given.",
    )
    allow_http: bool = Field(
        default=False,
        description="Allow an endpoint of http://: documents travel unencrypted, so only for a "
        "server on the same machine or network.",
    )
    ca: str | None = Field(
        default=None,
        description="A certificate (PEM) that the endpoint's may be signed by; usually given as "
        "`OCRPLUS_S3__CA_FILE`.",
    )
    connect_seconds: float = Field(
        default=5, gt=0, description="A connection must stand within this."
    )
    request_seconds: float = Field(
        default=30, gt=0, description="One request, 8 MiB at most, must end within this."
    )
    retries: int = Field(
        default=5, ge=0, description="How often a request that failed in passing is repeated."
    )
    retry_seconds: float = Field(
        default=30, gt=0, description="No request is repeated later than this after its first try."
    )
    capacity_bytes: int = Field(
        default=0,
        ge=0,
        description="Uploads that would bring the bucket's prefix above this are refused as busy "
        "(counted once a minute, by a listing); 0 = no limit of ours.",
    )
    bulk_delete: bool = Field(
        default=True,
        description="Delete up to 1,000 objects a request; off for servers that cannot.",
    )


class S3Environment(BaseSettings):
    """What the AWS tools call the same."""

    s3: S3Settings = S3Settings()
    aws_endpoint_url_s3: str | None = Field(
        default=None,
        validation_alias="AWS_ENDPOINT_URL_S3",
        pattern=r"^https?://[^@?#]+$",
        description="The S3 server, as https://host:port; default: AWS_ENDPOINT_URL.",
    )
    aws_endpoint_url: str | None = Field(
        default=None,
        validation_alias="AWS_ENDPOINT_URL",
        pattern=r"^https?://[^@?#]+$",
        description="The same; default: Amazon's own of the region.",
    )
    aws_region: str | None = Field(
        default=None,
        validation_alias="AWS_REGION",
        description="The bucket's region; default: AWS_DEFAULT_REGION.",
    )
    aws_default_region: str = Field(
        default="us-east-1",
        validation_alias="AWS_DEFAULT_REGION",
        description="The same; many servers do not care.",
    )
    aws_access_key_id: SecretStr | None = Field(
        default=None,
        validation_alias="AWS_ACCESS_KEY_ID",
        description="Name of the key; default: the pod's or the machine's role.",
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None, validation_alias="AWS_SECRET_ACCESS_KEY", description="The key."
    )
    aws_session_token: SecretStr | None = Field(
        default=None,
        validation_alias="AWS_SESSION_TOKEN",
        description="Its token, where the key is a temporary one.",
    )
