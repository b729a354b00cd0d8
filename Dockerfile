# One image for every role: `docker build -t weir:0.1.0 .`, then `docker run weir:0.1.0 worker`.
# DEVICE=cuda takes PyTorch with CUDA from the lock file; DEVICE=cpu takes the build of the same version for CPUs.
# EXTRAS adds optional dependencies of pyproject.toml, separated by spaces: s3, gcs, azure, minilm, mlflow.
# Kubernetes probes the roles, so the image has no HEALTHCHECK.
ARG PYTHON_VERSION=3.13
ARG DEBIAN=bookworm

FROM python:${PYTHON_VERSION}-slim-${DEBIAN} AS build
ARG UV_VERSION=0.13.9
ARG DEVICE=cpu
ARG EXTRAS="s3 gcs azure"
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/weir \
    UV_PYTHON_DOWNLOADS=never
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir "uv==${UV_VERSION}"
WORKDIR /source

# The dependencies change less often than the source, so they are a layer of their own.
COPY pyproject.toml uv.lock docker/install-dependencies ./
RUN ./install-dependencies "${DEVICE}" "${EXTRAS}"

COPY . .
RUN /opt/uv/bin/uv build --wheel --out-dir /tmp/wheel \
 && /opt/uv/bin/uv pip install --python /opt/weir --no-deps /tmp/wheel/*.whl

FROM python:${PYTHON_VERSION}-slim-${DEBIAN}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="weir" \
      org.opencontainers.image.description="Streaming importance: worker, trainer and api of Weir" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number, as Kubernetes' runAsNonRoot cannot judge a name.
RUN groupadd --system --gid 10001 weir \
 && useradd --system --uid 10001 --gid weir --no-create-home --home-dir /var/lib/weir weir \
 && install --directory --owner=weir --group=weir /var/lib/weir
COPY --from=build /opt/weir /opt/weir
# Only WEIR_HOME and /tmp are written to; both may be volumes of a read-only root.
ENV PATH=/opt/weir/bin:$PATH \
    HF_HOME=/var/lib/weir/huggingface \
    HOME=/var/lib/weir \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WEIR_HOME=/var/lib/weir
WORKDIR /var/lib/weir
USER 10001:10001
ENTRYPOINT ["weir"]
CMD ["--help"]
