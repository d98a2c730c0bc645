"""A Celery application whose run is to be whole though a node of the broker's cluster dies in the middle of it.

    celery -A celery_squares worker        computes
    python3 celery_squares.py COUNT        hands out COUNT tasks, waits for all results, checks them

BROKER_URLS names the nodes, with semicolons between: Celery goes to the next one when one is gone. RESULTS is a folder for
the results, or "rpc" for results by messages.
"""

import os
import sys
import time

from celery import Celery

results = os.environ["RESULTS"]
app = Celery(
    "celery_squares",
    broker=os.environ["BROKER_URLS"],
    backend="rpc://" if results == "rpc" else "file://" + results,
)
app.conf.update(
    # A task is acknowledged when it is done, and what a dead worker or node had comes again.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # A publish returns when the broker has stored it, and is tried again, on another node, when it did not answer.
    broker_transport_options={"confirm_publish": True},
    task_publish_retry=True,
    task_publish_retry_policy={"max_retries": 60, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 1},
    broker_connection_max_retries=None,
    broker_connection_timeout=5,
    broker_heartbeat=10,
    worker_prefetch_multiplier=8,
)

TASK_SECONDS = 0.03
RESULT_SECONDS_MAX = 60


@app.task(name="square")
def square(number):
    time.sleep(TASK_SECONDS)
    return number * number


def main():
    count = int(sys.argv[1])
    waiting = []
    for number in range(count):
        waiting.append((number, square.delay(number)))
        # Slow enough that the node dies while tasks are handed out too.
        time.sleep(TASK_SECONDS / 3)
        if number % 100 == 0:
            print(f"handed out {number}", flush=True)
    print("all handed out", flush=True)
    deadline = time.time() + RESULT_SECONDS_MAX
    missing = []
    for number, result in waiting:
        try:
            found = result.get(timeout=max(0.01, deadline - time.time()))
        except Exception as error:
            missing.append((number, repr(error)))
            continue
        if found != number * number:
            sys.exit(f"the square of {number} is not {found}")
    if missing:
        sys.exit(f"{len(missing)} of {count} results are missing, the first is {missing[0]}")
    print(f"{count} results, all there", flush=True)


if __name__ == "__main__":
    main()
