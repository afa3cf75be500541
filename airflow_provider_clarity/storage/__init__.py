"""Cloud Storage without Airflow: what a source is, who may upload where, whether a picture arrived, its final name."""
