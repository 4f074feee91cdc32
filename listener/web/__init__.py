"""The dashboard, the JSON API, health and metrics. Nothing imports it at module level: FastAPI takes its time."""

from listener.web.app import create_app
from listener.web.settings import WebSettings

__all__ = ["WebSettings", "create_app"]
