"""The dashboards: `make docs` writes them to the chart; a test holds the files to this."""

from typing import Final

import dashboard_captions
import dashboard_operator
import dashboard_service
import dashboard_workers
from panels import Dashboard

DASHBOARDS: Final[tuple[Dashboard, ...]] = (
    dashboard_service.DASHBOARD,
    dashboard_workers.DASHBOARD,
    dashboard_captions.DASHBOARD,
    dashboard_operator.DASHBOARD,
)
