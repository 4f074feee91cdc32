"""APScheduler calls the three jobs on short intervals. No logic: what is due, the rows say."""

from __future__ import annotations

import logging

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from listener.running import Jobs, Patient

SECONDS = 1.0  # between two runs of a job; a run that takes longer is followed by the next, never doubled


def start(jobs: Jobs) -> BackgroundScheduler:
    """Run the jobs until the returned scheduler's ``shutdown()``."""
    # It logs each run at INFO, and each failure of a job with its traceback at ERROR.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler = BackgroundScheduler(
        timezone="UTC",
        executors={"default": ThreadPoolExecutor(3)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for job in (jobs.poll_due, jobs.tick, jobs.deliver):
        scheduler.add_job(Patient(job), "interval", seconds=SECONDS, id=job.__name__)
    scheduler.start()
    return scheduler
