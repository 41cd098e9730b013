"""A gRPC server that tells its health: SERVING, and from SIGUSR1 on NOT_SERVING."""

import argparse
import signal
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE = "app.Orders"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bind", action="append", required=True, metavar="ADDRESS:PORT")
    arguments = parser.parse_args()

    signals = {signal.SIGUSR1, signal.SIGTERM}
    # Before there are threads, which inherit that.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    servicer = health.HealthServicer()
    servicer.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for address in arguments.bind:
        server.add_insecure_port(address)
    server.start()
    while True:
        if signal.sigwait(signals) == signal.SIGTERM:
            server.stop(grace=None).wait()
            return
        servicer.set(SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)


if __name__ == "__main__":
    main()
