# The daemon as an image: non-root, no compiler, no write outside /var/lib/poller and /tmp.
#
# The base is the official Python image, whose interpreter is built with profile-guided optimisation; that saves about a
# fifth of the daemon's CPU. Both stages use the same base, since the environment is copied with links to its interpreter.

FROM python:3.13-slim-trixie AS build

# tini takes the version of the base's Debian release: its interface has not changed for years.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/*

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What changes seldom comes first: the dependencies, with the versions and hashes that the tests ran with.
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN python -m venv --without-pip /opt/poller \
 && pip --python /opt/poller/bin/python install --only-binary :all: --require-hashes -r requirements/runtime.lock \
 && pip install --only-binary :all: --require-hashes -r requirements/build.lock

# Without an index pip takes only what is there already: a lock that lacks something fails here.
COPY pyproject.toml README.md LICENSE ./
COPY poller poller
# The version is that of the wheel just made.
# hadolint ignore=DL3013
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/poller/bin/python install --no-index --find-links dist 'poller[fast]' \
 && pip --python /opt/poller/bin/python check


FROM python:3.13-slim-trixie

ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="poller" \
      org.opencontainers.image.description="AWS Lambda's event source mappings, runnable anywhere" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

RUN groupadd --gid 65532 poller \
 && useradd --uid 65532 --gid 65532 --no-log-init --home-dir /var/lib/poller --shell /usr/sbin/nologin poller \
 && install --directory --owner=poller --group=poller --mode=0700 /var/lib/poller \
 && install --directory /etc/poller

COPY --from=build /usr/bin/tini /usr/bin/tini
COPY --from=build /opt/poller /opt/poller

ENV PATH=/opt/poller/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/poller
VOLUME /var/lib/poller
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 9108
STOPSIGNAL SIGTERM

# The default listener. A configuration that moves it needs a health check of its own.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-I", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 9108, timeout=4); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]

# tini is process 1: it reaps what handlers leave behind when their process group is killed. The daemon waits only for
# processes that it started itself, so as process 1 it would collect zombies. Signals and the exit status pass through.
ENTRYPOINT ["/usr/bin/tini", "--", "poller"]
CMD ["run", "-c", "/etc/poller"]
