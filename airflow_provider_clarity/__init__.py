"""Upscale images with Runware's Clarity from Apache Airflow, into Cloud Storage."""

__version__ = "0.1.0"
