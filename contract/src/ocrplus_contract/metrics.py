"""Metric names, labels and buckets: constants only, so that dashboards can be held to them."""

from typing import Final

BUILD_INFO: Final = "ocrplus_build_info"

CONNECTIONS: Final = "ocrplus_gateway_connections"
JOBS: Final = "ocrplus_gateway_jobs_total"
JOB_ENDS: Final = "ocrplus_gateway_job_ends_total"
JOB_SECONDS: Final = "ocrplus_gateway_job_seconds"
FIRST_PAGE_SECONDS: Final = "ocrplus_gateway_first_page_seconds"
DELIVERY_SECONDS: Final = "ocrplus_gateway_delivery_seconds"
HISTORY_LOST: Final = "ocrplus_gateway_history_lost_total"
LOOP_LAG_SECONDS: Final = "ocrplus_gateway_event_loop_lag_seconds"
GC_PAUSE_SECONDS: Final = "ocrplus_gateway_gc_pause_seconds"
BLOB_ROOM_BYTES: Final = "ocrplus_gateway_blob_room_bytes"

REDIS_UP: Final = "ocrplus_redis_up"
REDIS_MEMORY_BYTES: Final = "ocrplus_redis_memory_bytes"
REDIS_MEMORY_LIMIT_BYTES: Final = "ocrplus_redis_memory_limit_bytes"

WAITING_CHUNKS: Final = "ocrplus_queue_waiting_chunks"
WAITING_PAGES: Final = "ocrplus_queue_waiting_pages"
INFLIGHT_CHUNKS: Final = "ocrplus_queue_inflight_chunks"
DOORBELLS: Final = "ocrplus_queue_doorbells"
OLDEST_SECONDS: Final = "ocrplus_queue_oldest_seconds"
LEASES_EXPIRED: Final = "ocrplus_queue_leases_expired_total"
POISONED: Final = "ocrplus_queue_poisoned_total"
WAIT_SECONDS: Final = "ocrplus_queue_wait_seconds"

OCR_PAGES: Final = "ocrplus_ocr_pages_total"
OCR_PAGE_SECONDS: Final = "ocrplus_ocr_page_seconds"
OCR_WORKER_STATE: Final = "ocrplus_ocr_worker_state"
OCR_WARMUP_SECONDS: Final = "ocrplus_ocr_warmup_seconds"

CAPTION_CALLS: Final = "ocrplus_caption_calls_total"
CAPTION_CALL_SECONDS: Final = "ocrplus_caption_call_seconds"
CAPTION_FIGURES: Final = "ocrplus_caption_figures_total"
CAPTION_LATE: Final = "ocrplus_caption_late_total"
CAPTION_GIVEN_UP: Final = "ocrplus_caption_given_up_total"
CAPTION_CACHE_HITS: Final = "ocrplus_caption_cache_hits_total"
CAPTION_TOKENS: Final = "ocrplus_caption_tokens_total"
CAPTION_COST: Final = "ocrplus_caption_cost_total"
CAPTION_BREAKER_STATE: Final = "ocrplus_caption_breaker_state"
CAPTION_WORKER_STATE: Final = "ocrplus_caption_worker_state"
CAPTION_OLDEST_SECONDS: Final = "ocrplus_caption_oldest_in_hand_seconds"

CALL_SECONDS_BUCKETS: Final = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 180, 300)
PAGE_SECONDS_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
DELIVERY_SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 60)
WAIT_SECONDS_BUCKETS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
JOB_SECONDS_BUCKETS: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
