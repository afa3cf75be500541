"""Airflow reads its configuration when it is first imported: it gets a home of its own here, before any test."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings

if "CLARITY_TEST_HOME" not in os.environ:
    _home = tempfile.mkdtemp(prefix="clarity-tests-")
    atexit.register(shutil.rmtree, _home, ignore_errors=True)
    for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[_name]  # a developer's own Airflow must neither help nor be touched
    os.environ |= {
        "CLARITY_TEST_HOME": _home,
        "AIRFLOW_HOME": _home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "lvGyKFcNB2QC6Yp5tDmdbFBwqXHoJ3dEJkTkYE3SR9s=",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",  # 2.11 warns of the old default
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SQLALCHEMY_SILENCE_UBER_WARNING": "1",  # about the SQLAlchemy 1.4 that 2.11 pins
    }

# A property fails because of what it found, never because the machine was busy.
settings.register_profile("clarity", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clarity")
