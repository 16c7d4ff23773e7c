"""What Airflow itself gains from recloop: operators, links, a trigger, report pages, retry policy.

Keep out: domain decisions (see `recloop/`), the order of tasks (see `dags/`), TensorFlow. Modules
that are heavy are imported inside functions.
"""
