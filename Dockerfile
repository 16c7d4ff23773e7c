# One image for every service of docker-compose.yml: Airflow, recloop and its models.
# For GPU workers build with --build-arg BASE=<a CUDA image with Python 3.12>, or add
# `tensorflow[and-cuda]` to the requirements.
# A tag can be moved, a digest cannot: where you can look it up (`docker buildx imagetools inspect`),
# build with BASE=python:3.12.12-slim-bookworm@sha256:…, and put digests behind the tags in
# docker-compose.yml likewise.
ARG BASE=python:3.12.12-slim-bookworm
FROM ${BASE}

RUN apt-get update \
    && apt-get install -y --no-install-recommends dumb-init \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 50000 recloop \
    && install --directory --owner recloop --group recloop --mode 0700 /var/lib/recloop

WORKDIR /opt/recloop
COPY requirements.txt ./
# Bytecode is compiled here, once: importing the heavy libraries then takes a third of the time.
RUN pip install --no-cache-dir --compile -r requirements.txt
# The code belongs to root: a task that runs as `recloop` cannot change what the next one runs.
COPY . .
RUN python -m compileall -q recloop models dags plugins feature_repo && chmod -R go-w /opt/recloop

USER recloop
ENV PYTHONPATH=/opt/recloop \
    RECLOOP_HOME=/var/lib/recloop \
    AIRFLOW_HOME=/var/lib/recloop/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/recloop/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/recloop/plugins
ENTRYPOINT ["dumb-init", "--"]
CMD ["airflow", "version"]
