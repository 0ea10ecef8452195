# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY dimseproxy dimseproxy
COPY twisted twisted
RUN python -m venv /opt/dimseproxy \
    && /opt/dimseproxy/bin/pip install --no-cache-dir . \
    # The user who runs twistd cannot write Twisted's cache of plugins: any twistd run writes it here, once.
    && /opt/dimseproxy/bin/twistd --help-reactors >/dev/null \
    && /opt/dimseproxy/bin/twistd dimseproxy --version

FROM python:3.11-slim-bookworm
RUN useradd --system --create-home --home-dir /var/lib/dimseproxy --shell /usr/sbin/nologin dimseproxy
COPY --from=build /opt/dimseproxy /opt/dimseproxy
USER dimseproxy
WORKDIR /var/lib/dimseproxy
EXPOSE 11112
# What it keeps: write `data_dir: /var/lib/dimseproxy/data` in the configuration.
RUN mkdir -m 700 /var/lib/dimseproxy/data
VOLUME /var/lib/dimseproxy/data
HEALTHCHECK NONE
# No pid file: it would lie in a folder that may be read-only, and a container needs none.
ENTRYPOINT ["/opt/dimseproxy/bin/twistd", "-n", "--pidfile=", "dimseproxy"]
# Mount the configuration here; in a container it listens on interface=0.0.0.0, and names its applications.
CMD ["--config", "/etc/dimseproxy/dimseproxy.yaml"]
