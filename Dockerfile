# One image for the node, the dashboard and the embedded chain.
#
# Nothing here is fetched by address: Python packages come from the hashed lock,
# front-end packages from the lock of dashboard/web, both by their own clients.

FROM python:3.11-slim-bookworm AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
WORKDIR /build
COPY requirements/ requirements/
RUN /venv/bin/pip install --require-hashes --only-binary :all: -r requirements/main.txt
COPY .ci/libatomic.py .
RUN /venv/bin/python libatomic.py

# The front end needs Node; the wheel that carries one stays in this stage.
FROM packages AS web
RUN /venv/bin/pip install --require-hashes --only-binary :all: -r requirements/frontend.txt
COPY dashboard/ dashboard/
RUN /venv/bin/python -m dashboard.build

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin fieldpact \
    && install --directory --owner fieldpact --mode 0700 /data
COPY --from=packages /venv /venv
WORKDIR /app
COPY crypto/ crypto/
COPY ledger/ ledger/
COPY node/ node/
COPY policies/ policies/
COPY dashboard/ dashboard/
COPY --from=web /build/dashboard/static/ dashboard/static/
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER fieldpact
VOLUME /data
# The processes are named in docker-compose.yml. Alone, the image tells its use.
CMD ["python", "-m", "node", "--help"]
