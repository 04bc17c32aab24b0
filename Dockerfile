# The node in a container: state in /var/lib/vbmd-node, configuration in /etc/vbmd-node/node.toml.
#   docker build -t vbmd-node .
#   docker run --init --stop-timeout 60 -p 11112:11112 -v vbmd:/var/lib/vbmd-node -v "$PWD/etc":/etc/vbmd-node:ro vbmd-node
# --init: somebody has to bury what a measurement that was killed leaves behind. Without :ro `senders approve` and
# `config rollback` can write the configuration from inside. A folder of the host in place of the volume must belong to
# the user vbmd (its number: docker run --rm --entrypoint id vbmd-node).
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY .ci/constraints.txt .ci/constraints.txt
COPY node node
COPY config config
COPY sr_templates sr_templates
RUN python -m venv /opt/vbmd-node \
 && /opt/vbmd-node/bin/pip install --no-cache-dir -c .ci/constraints.txt .

FROM python:3.11-slim-bookworm
# Letters of Chinese, Japanese and Korean names, and of Cyrillic and Greek ones, on pages and labelled images.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends fonts-noto-cjk fonts-dejavu-core \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --user-group --create-home --home-dir /var/lib/vbmd-node vbmd \
 && install -d -o vbmd -g vbmd /etc/vbmd-node
COPY --from=build /opt/vbmd-node /opt/vbmd-node
ENV PATH=/opt/vbmd-node/bin:$PATH VBMD_NODE_ADMIN_PORT=9112
USER vbmd
VOLUME /var/lib/vbmd-node
EXPOSE 11112
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["vbmd-node", "health"]
ENTRYPOINT ["vbmd-node"]
CMD ["serve"]
