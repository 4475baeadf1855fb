"""Functions from ids to Redis keys: the only place in Python that spells one.

`scripts/include/keys.lua` is the same place for the scripts; a test holds the two together.
"""

from dataclasses import dataclass

from ocrplus_contract.names import Pool, TaskId, UserId


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key of one deployment; `prefix` comes before each."""

    prefix: str = ""

    def _key(self, *parts: str) -> str:
        return self.prefix + ":".join(parts)

    def stream(self, user: UserId) -> str:
        """Events of a user; also the name of the channel they are published on."""
        return self._key("stream:task", user)

    def events(self, user: UserId) -> str:
        """Epoch and last `seq` of a user's events."""
        return self._key("events", user)

    def last_id(self) -> str:
        """Per user, the stream position that original clients have confirmed."""
        return self._key("stream:last_id")

    def positions(self, user: UserId) -> str:
        """How far each open socket of an original client has taken its events."""
        return self._key("positions", user)

    def tries(self, user: UserId, stream_id: str) -> str:
        """How often the result at this position could not be delivered to an original client."""
        return self._key("tries", user, stream_id)

    def gateway(self, name: str) -> str:
        """There while this gateway process lives; its version."""
        return self._key("gateway", name)

    def gateways(self) -> str:
        """Last heartbeat of each gateway process."""
        return self._key("gateways")

    def probe(self, name: str) -> str:
        """There for a moment: whether the server takes writes."""
        return self._key("probe", name)

    def ticket(self, digest: str) -> str:
        """Whom a one-time ticket, by its SHA-256, lets in."""
        return self._key("ticket", digest)

    def job(self, user: UserId, task: TaskId) -> str:
        """One job's facts and counts."""
        return self._key("job", user, task)

    def pages(self, user: UserId, task: TaskId) -> str:
        """A job's committed pages: page → record."""
        return self._key("job", user, task, "pages")

    def captions(self, user: UserId, task: TaskId) -> str:
        """A job's figures: number → what became of each."""
        return self._key("job", user, task, "captions")

    def caption_deadlines(self) -> str:
        """Jobs that wait for nothing but captions, `user:task`, by when they stop waiting."""
        return self._key("caption-deadlines")

    def late_captions(self) -> str:
        """Ended jobs some of whose captions may still come, by when these are given up."""
        return self._key("late-captions")

    def captioner(self) -> str:
        """Model and prompt of the caption workers; there where captions are to be had."""
        return self._key("captioner")

    def breaker(self) -> str:
        """State of the circuit breaker before the vision-language model."""
        return self._key("caption-breaker")

    def slots(self, endpoint: str) -> str:
        """Calls of the last minute and in flight, by when their slot is free again."""
        return self._key("caption-slots", endpoint)

    def pause(self, endpoint: str) -> str:
        """There while an endpoint has asked for patience."""
        return self._key("caption-pause", endpoint)

    def described(self, user: UserId, digest: str) -> str:
        """What was said of a user's picture, for pictures that are the same."""
        return self._key("described", user, digest)

    def described_for(self, user: UserId, digest: str) -> str:
        """The user's jobs that show this picture: its description goes with the last of them."""
        return self._key("described-for", user, digest)

    def descriptions(self, user: UserId, task: TaskId) -> str:
        """Pictures that a job shows, by what was said of them."""
        return self._key("job", user, task, "described")

    def alike(self, user: UserId, likeness: str) -> str:
        """A user's described pictures that look like this one at first sight."""
        return self._key("alike", user, likeness)

    def describing(self, user: UserId, digest: str) -> str:
        """There while somebody asks for this picture's description."""
        return self._key("describing", user, digest)

    def caption_calls(self, user: UserId, day: str) -> str:
        """Figures that the model was asked about for a user on a day."""
        return self._key("caption-calls", user, day)

    def jobs(self, user: UserId) -> str:
        """A user's jobs by time of submission."""
        return self._key("jobs", user)

    def jobs_open(self) -> str:
        """All unfinished jobs, `user:task`, by deadline (no user can be called like this key)."""
        return self._key("open-jobs")

    def open_users(self) -> str:
        """User → number of his open jobs."""
        return self._key("open-users")

    def gone(self, user: UserId, task: TaskId) -> str:
        """There while an ended job's name is remembered, longer than the job itself."""
        return self._key("gone", user, task)

    def forgetting(self, user: UserId, task: TaskId) -> str:
        """There while a deleted job's files are being removed: who came now would lose his."""
        return self._key("forgetting", user, task)

    def content(self, user: UserId, fingerprint: str) -> str:
        """Content cache: engine version and task of a finished job."""
        return self._key("content", user, fingerprint)

    def engine(self) -> str:
        """Version of the engine that the OCR workers run."""
        return self._key("engine")

    def backlog(self, pool: Pool) -> str:
        """`pages:{user}` and `ms:{user}` (expected work) that wait, of users who wait."""
        return self._key("backlog", pool)

    def work(self, pool: Pool) -> str:
        """The stream of permits."""
        return self._key("work", pool)

    def waiting(self, pool: Pool) -> str:
        """Users who wait, by pages served."""
        return self._key("waiting", pool)

    def served(self, pool: Pool) -> str:
        """Pages served to users who left while others wait."""
        return self._key("served", pool)

    def waiting_chunks(self, pool: Pool, user: UserId) -> str:
        """One user's waiting chunks, heads first."""
        return self._key("waiting", pool, user)

    def lease(self, pool: Pool) -> str:
        """Permit → chunk, owner, page in hand."""
        return self._key("lease", pool)

    def load(self, pool: Pool) -> str:
        """Waiting and in-flight pages, arrivals by second."""
        return self._key("load", pool)

    def worker(self, pool: Pool, worker_id: str) -> str:
        """One worker's record."""
        return self._key("worker", pool, worker_id)

    def worker_version(self, pool: Pool, worker_id: str) -> str:
        """Version of OcrPlus that a worker runs."""
        return self._key("worker-version", pool, worker_id)

    def workers(self, pool: Pool) -> str:
        """Last heartbeat of each worker."""
        return self._key("workers", pool)

    def drain(self, pool: Pool) -> str:
        """Pods that the operator has told to drain."""
        return self._key("drain", pool)

    def queue(self, pool: Pool) -> str:
        """Celery's own list of doorbells."""
        return self._key(pool)

    def blob(self, name: str) -> str:
        """Bytes of one blob, where Redis is the blob store."""
        return self._key("blob", name)

    def reconciler(self) -> str:
        """Lease of the one gateway that reconciles."""
        return self._key("reconciler")
