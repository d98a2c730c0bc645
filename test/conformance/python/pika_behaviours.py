"""pika against a broker: each behaviour is a function; one JSON line of result for each, in the order given.

    pika_behaviours.py URL

A line is {"title": ..., "error": null} or has the traceback as its error. The titles are the docstrings.
"""

import hashlib
import json
import os
import sys
import traceback
import uuid
from datetime import datetime
from decimal import Decimal

import pika
from pika import exceptions

PERSISTENT = pika.BasicProperties(delivery_mode=2)


class Client:
    """One connection with one channel in confirm mode, and an exclusive queue."""

    def __init__(self, url, **parameters):
        self.url = url
        options = pika.URLParameters(url)
        options.socket_timeout = options.blocked_connection_timeout = 10
        for parameter, value in parameters.items():
            setattr(options, parameter, value)
        self.connection = pika.BlockingConnection(options)
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.queue = self.channel.queue_declare(name("q"), exclusive=True).method.queue

    def publish(self, body, routing_key=None, exchange="", properties=PERSISTENT, mandatory=False):
        self.channel.basic_publish(exchange, routing_key or self.queue, body, properties, mandatory)

    def get(self, auto_ack=True):
        method, properties, body = self.channel.basic_get(self.queue, auto_ack=auto_ack)
        return None if method is None else (method, properties, body)

    def drain(self):
        return [body for _, _, body in iter(self.get, None)]

    def close(self):
        if self.connection.is_open:
            self.connection.close()


def name(word):
    return "%s-%s" % (word, uuid.uuid4().hex[:12])


def equal(actual, expected):
    if actual != expected:
        raise AssertionError("expected %r, but it was %r" % (expected, actual))


def closes_with(code, text, act):
    """The channel is closed with this code and text."""
    try:
        act()
    except exceptions.ChannelClosedByBroker as closed:
        equal((closed.reply_code, closed.reply_text), (code, text))
    else:
        raise AssertionError("the broker did not close the channel")


def confirms_and_acks(client):
    """publishes with confirms and consumes with acks, in order"""
    bodies = [b"message %d" % i for i in range(300)]
    for body in bodies:
        client.publish(body)
    client.channel.basic_qos(prefetch_count=20)
    seen = []
    for method, _, body in client.channel.consume(client.queue, inactivity_timeout=10):
        if method is None:
            break
        equal(method.redelivered, False)
        seen.append(body)
        client.channel.basic_ack(method.delivery_tag)
        if len(seen) == len(bodies):
            break
    client.channel.cancel()
    equal(seen, bodies)


def requeue_and_refuse(client):
    """a message given back comes again, marked; one refused for good does not"""
    client.publish(b"again")
    client.publish(b"refused")
    method, _, body = client.get(auto_ack=False)
    client.channel.basic_nack(method.delivery_tag, requeue=True)
    method, _, body = client.get(auto_ack=False)
    equal((body, method.redelivered), (b"again", True))
    client.channel.basic_ack(method.delivery_tag)
    method, _, body = client.get(auto_ack=False)
    equal((body, method.redelivered), (b"refused", False))
    client.channel.basic_reject(method.delivery_tag, requeue=False)
    equal(client.drain(), [])


def multiple_ack(client):
    """a multiple ack settles everything up to its tag"""
    for body in (b"a", b"b", b"c"):
        client.publish(body)
    tags = [client.get(auto_ack=False)[0].delivery_tag for _ in range(3)]
    client.channel.basic_ack(tags[1], multiple=True)
    client.channel.basic_nack(0, multiple=True, requeue=True)
    equal(client.drain(), [b"c"])


def mandatory_return(client):
    """a mandatory message that nobody wants comes back, and is confirmed"""
    try:
        client.publish(b"come back", routing_key=name("nobody"), mandatory=True)
    except exceptions.UnroutableError as error:
        (returned,) = error.messages
        equal((returned.method.reply_code, returned.method.reply_text), (312, "NO_ROUTE"))
        equal(returned.body, b"come back")
    else:
        raise AssertionError("the message did not come back")
    client.publish(b"goes on")
    equal(client.drain(), [b"goes on"])


def bodies_of_all_sizes(client):
    """bodies from nothing to 5 MB come back as they were"""
    for size in (0, 1, 4088, 131064, 131065, 5000000):
        body = os.urandom(size)
        client.publish(body)
        _, _, back = client.get()
        equal((len(back), hashlib.sha256(back).digest()), (size, hashlib.sha256(body).digest()))


def headers_of_all_types(client):
    """header values of all types pika knows survive"""
    headers = {
        "text": "żółw",
        "bytes": b"\x00\x01\xff",
        "yes": True,
        "no": False,
        "small": 5,
        "large": 2**40,
        "negative": -5,
        "decimal": Decimal("3.14"),
        "time": datetime(2023, 11, 14, 22, 13, 20),
        "nothing": None,
        "list": [1, "two", [True], {"four": 4}],
        "nested": {"a": {"b": "c"}},
    }
    client.publish(b"x", properties=pika.BasicProperties(headers=headers))
    _, properties, _ = client.get()
    equal(properties.headers, headers)


def all_properties(client):
    """every property survives"""
    given = dict(
        content_type="text/plain",
        content_encoding="gzip",
        headers={"a": "b"},
        delivery_mode=2,
        priority=5,
        correlation_id="c-1",
        reply_to="answers",
        expiration="3600000",
        message_id="m-1",
        timestamp=1700000000,
        type="greeting",
        user_id=pika.URLParameters(client.url).credentials.username,
        app_id="tests",
        cluster_id="here",
    )
    client.publish(b"x", properties=pika.BasicProperties(**given))
    _, properties, _ = client.get()
    equal({key: getattr(properties, key) for key in given}, given)


def exchanges(client):
    """topic and headers exchanges, and one bound to the other, route"""
    topic, headers = name("topic"), name("headers")
    client.channel.exchange_declare(topic, "topic", auto_delete=True)
    client.channel.exchange_declare(headers, "headers", auto_delete=True)
    client.channel.exchange_bind(headers, topic, "a.#")
    client.channel.queue_bind(client.queue, headers, arguments={"x-match": "all", "kind": "wanted"})
    wanted = pika.BasicProperties(headers={"kind": "wanted"})
    client.publish(b"yes", "a.b", topic, wanted)
    client.publish(b"no", "b.a", topic, wanted)
    client.publish(b"no", "a.b", topic, pika.BasicProperties(headers={"kind": "other"}))
    equal(client.drain(), [b"yes"])


def transactions(client):
    """a transaction is seen at commit and forgotten by rollback"""
    channel = client.connection.channel()
    channel.tx_select()
    channel.basic_publish("", client.queue, b"kept")
    equal(client.drain(), [])
    channel.tx_commit()
    channel.basic_publish("", client.queue, b"forgotten")
    channel.tx_rollback()
    equal(client.drain(), [b"kept"])


def consumer_cancelled(client):
    """a consumer hears that its queue was deleted"""
    cancelled = []
    channel = client.connection.channel()
    channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    tag = channel.basic_consume(client.queue, lambda *_: None)
    client.channel.queue_delete(client.queue)
    for _ in range(100):
        client.connection.process_data_events(time_limit=0.1)
        if cancelled:
            break
    equal(cancelled, [tag])


def close_in_order(client):
    """closing removes the exclusive queue and keeps the durable one"""
    durable = name("durable")
    client.channel.queue_declare(durable, durable=True)
    client.publish(b"kept", routing_key=durable)
    client.close()
    again = Client(client.url)
    try:
        closes_with(
            404,
            "NOT_FOUND - no queue '%s' in vhost '/'" % client.queue,
            lambda: again.channel.queue_declare(client.queue, passive=True),
        )
        channel = again.connection.channel()
        equal(channel.queue_delete(durable).method.message_count, 1)
    finally:
        again.close()


def small_frames(client):
    """frames of 4096 octets are enough"""
    other = Client(client.url, frame_max=4096)
    try:
        body = os.urandom(100000)
        other.publish(body)
        equal(other.get()[2] == body, True)
    finally:
        other.close()


def errors(client):
    """sees 403, 404, 405 and 406 with their texts"""
    queue, vhost = client.queue, " in vhost '/'"

    def fails(code, text, act):
        channel = client.connection.channel()
        closes_with(code, text, lambda: act(channel))

    missing = "NOT_FOUND - no queue 'missing'" + vhost
    fails(404, missing, lambda channel: channel.queue_declare("missing", passive=True))
    missing = "NOT_FOUND - no exchange 'missing'" + vhost
    fails(404, missing, lambda channel: channel.queue_bind(queue, "missing", "k"))
    reserved = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"
    fails(403, reserved, lambda channel: channel.queue_declare("amq.mine"))
    other = "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue '%s'%s: received 'true' but current is 'false'"
    fails(406, other % (queue, vhost), lambda channel: channel.queue_declare(queue, exclusive=True, auto_delete=True))

    def unknown_tag(channel):
        channel.basic_ack(99)
        client.connection.process_data_events(time_limit=0.1)
        channel.queue_declare(queue, passive=True)

    fails(406, "PRECONDITION_FAILED - unknown delivery tag 99", unknown_tag)
    stranger = Client(client.url)
    try:
        locked = (
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s'%s. It could be originally declared on "
            "another connection or the exclusive property value does not match that of the original declaration."
        )
        closes_with(405, (locked % (queue, vhost))[:255], lambda: stranger.channel.queue_purge(queue))
    finally:
        stranger.close()


def refused_logins(client):
    """a wrong password and a missing vhost are refused with their reason"""
    options = pika.URLParameters(client.url)
    options.credentials = pika.PlainCredentials("guest", "wrong")
    try:
        pika.BlockingConnection(options)
    except exceptions.ProbableAuthenticationError as error:
        equal("ACCESS_REFUSED" in repr(error), True)
    else:
        raise AssertionError("a wrong password was accepted")
    options = pika.URLParameters(client.url)
    options.virtual_host = "missing"
    try:
        pika.BlockingConnection(options)
    except exceptions.ProbableAccessDeniedError as error:
        equal("(530) 'NOT_ALLOWED - vhost missing not found'" in str(error), True)
    else:
        raise AssertionError("a missing vhost was opened")


BEHAVIOURS = (
    confirms_and_acks,
    requeue_and_refuse,
    multiple_ack,
    mandatory_return,
    bodies_of_all_sizes,
    headers_of_all_types,
    all_properties,
    exchanges,
    transactions,
    consumer_cancelled,
    close_in_order,
    small_frames,
    errors,
    refused_logins,
)


def main(url):
    for behaviour in BEHAVIOURS:
        error = None
        try:
            client = Client(url)
            try:
                behaviour(client)
            finally:
                client.close()
        except Exception:
            error = traceback.format_exc()
        print(json.dumps({"title": behaviour.__doc__, "error": error}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
