# One image for members and for the operator: `quorate ...` and `python -m quorate_operator`.
#
# Needs a base with a Debian-like layout, `python3` (3.11 or newer), its `venv` and `pip`. The base
# can be given as an argument, so the image can also be built where no registry is reached:
# docs/how-to/build-an-image.md.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# Without pip: what is copied from here must hold nothing that installs or builds.
RUN python3 -m venv --without-pip /opt/quorate
WORKDIR /src
# The dependencies first, so that a change of our own sources does not fetch them again.
COPY pyproject.toml ./
RUN python3 -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["operator"], sep="\n")' > requirements.txt \
    && python3 -m pip --python /opt/quorate/bin/python3 install --only-binary=:all: -r requirements.txt
COPY LICENSE README.md ./
COPY node node
COPY operator operator
RUN python3 -m pip --python /opt/quorate/bin/python3 install --no-deps .

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="quorate" \
      org.opencontainers.image.description="A deterministic Python service as a fault-tolerant Raft cluster, and its Kubernetes operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# What the base brought to install packages goes; the environment below does not look there.
# The standard library is compiled here because some bases leave that out, and a process on a
# read-only file system would do it anew at every start.
RUN rm -rf /usr/lib/python3/dist-packages/* /usr/local/lib/python3*/site-packages/* \
        /usr/lib/python3*/ensurepip /usr/local/lib/python3*/ensurepip /usr/share/python-wheels \
        /usr/bin/pip* /usr/local/bin/pip* /usr/local/bin/wheel \
    && python3 -m compileall -q -x '/(test|tests|idlelib|lib2to3|turtledemo)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && mkdir -p /etc/quorate/code /etc/quorate/config /var/lib/quorate \
    && chown 65532:65532 /var/lib/quorate && chmod 0750 /var/lib/quorate
COPY --from=build /opt/quorate /opt/quorate
# The service's own code is looked for in /etc/quorate/code: copied there by an image built on this
# one, or mounted. Nothing is ever imported from the working directory. The user has no line in
# /etc/passwd, and the Kubernetes client wants a home at its import, although it finds nothing there.
ENV HOME=/ \
    PATH=/opt/quorate/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/etc/quorate/code \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    QUORATE_LOG_FORMAT=json
WORKDIR /
# A number, because Kubernetes proves `runAsNonRoot` from a number only.
USER 65532:65532
EXPOSE 9010 9020 9030
ENTRYPOINT ["quorate"]
CMD ["run", "--config", "/etc/quorate/config/member.toml"]
