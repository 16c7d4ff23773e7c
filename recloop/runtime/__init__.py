"""Running the workflow engine: starting and stopping Airflow, talking to it, preloading for it.

Belongs here: Airflow's processes, its environment, its REST API, the schedule that a dataset asks
for. Keep out: `import airflow` (this package only launches it) and what the stages do (see
`recloop/stages/update_stages.py`). Neighbours: `dags/` and `plugins/` hold what runs inside Airflow.
"""
