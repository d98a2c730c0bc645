"""The worker: takes lines, counts their words, sends the counts on. Start as many as you like; they share the work.

    python3 worker.py

The broker's address is taken from AMQP_URL (default amqp://guest:guest@127.0.0.1:5672/).
Needs pika: Debian's python3-pika, or "pip install pika".
"""

import collections
import json
import os
import re

import pika

# So many lines are given to this worker before it has finished the first. More hides the way to the broker and back,
# less shares the work more evenly.
PREFETCH = 50


def main():
    url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.queue_declare("lines", durable=True)
    channel.queue_declare("word-counts", durable=True)
    channel.basic_qos(prefetch_count=PREFETCH)
    # basic_publish returns when the broker has confirmed, and raises when it refuses.
    channel.confirm_delivery()
    channel.basic_consume("lines", count_words)
    print("waiting for lines", flush=True)
    channel.start_consuming()


def count_words(channel, method, properties, body):
    words = collections.Counter(re.findall(r"\w+", body.decode().lower()))
    channel.basic_publish(
        exchange="",
        routing_key="word-counts",
        body=json.dumps({**properties.headers, "words": words}).encode(),
        properties=pika.BasicProperties(
            content_type="application/json",
            delivery_mode=pika.spec.PERSISTENT_DELIVERY_MODE,
            message_id=properties.message_id,
        ),
    )
    # Last: the result is stored. Should this worker die before, another one gets the line again. Should it die in
    # between, the result is sent twice; so whoever reads results must know them by their message id.
    channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
