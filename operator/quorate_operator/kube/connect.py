"""Makes clients of the API server from the service account of a pod, or from a kubeconfig."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from quorate.errors import ConfigurationError


@asynccontextmanager
async def connected(kubeconfig: str = "") -> AsyncIterator[ApiClient]:
    """Yield a client; no connection is made before its first call.

    Args:
        kubeconfig: Path of a kubeconfig; empty for the service account of this pod, whose
            token is read again every minute.

    Raises:
        ConfigurationError: There are no credentials, or they cannot be read.

    """
    settings = Configuration()
    settings.retries = None
    try:
        if kubeconfig:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, client_configuration=settings
            )
        else:
            load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        place = kubeconfig or "the service account of this pod"
        raise ConfigurationError([f"no credentials from {place}: {error}"]) from error
    async with ApiClient(settings) as client:
        yield client
