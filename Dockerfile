# One image for every process: `docker run IMAGE [up | api | worker | scheduler | exporter | migrate | …]`.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements-server.lock /tmp/requirements.lock
RUN /opt/venv/bin/pip install --quiet --require-hashes -r /tmp/requirements.lock
# The top-level folders are import packages as they stand, so the image carries the checkout and points at it.
COPY . /app
RUN /opt/venv/bin/pip install --quiet --no-deps --no-build-isolation --no-index -e /app -e /app/client \
    && /opt/venv/bin/python -m compileall -q /app

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/synthralos --create-home synthralos
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# HOST: inside a container 127.0.0.1 reaches nobody. What the host publishes is decided where the container is started.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0
USER synthralos
# The embedded default keeps its SQLite file here.
WORKDIR /var/lib/synthralos
VOLUME /var/lib/synthralos
EXPOSE 8080
STOPSIGNAL SIGTERM
# How to ask for its health differs from process to process; docker-compose.yml has the checks.
HEALTHCHECK NONE
ENTRYPOINT ["synthralos"]
CMD ["up"]
