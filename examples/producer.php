<?php
/*
 * The producer: sends the lines of text files as messages, and knows when each of them is safe.
 *
 *   php producer.php FILE...
 *
 * The broker's address is taken from AMQP_URL (default amqp://guest:guest@127.0.0.1:5672/).
 * Needs php-amqplib: Debian's package of that name, or "composer require php-amqplib/php-amqplib".
 */

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

require is_file(__DIR__ . '/vendor/autoload.php') ? __DIR__ . '/vendor/autoload.php' : 'PhpAmqpLib/autoload.php';

// So many lines are on their way before we wait for their confirms: waiting for each one would be slow.
const LINES_IN_FLIGHT = 200;
const SECONDS_TO_CONFIRM = 30;

$files = array_slice($argv, 1);
if ($files === []) {
    fwrite(STDERR, "usage: php producer.php FILE...\n");
    exit(2);
}

$url = parse_url(getenv('AMQP_URL') ?: 'amqp://guest:guest@127.0.0.1:5672/');
$vhost = rawurldecode(substr($url['path'] ?? '/', 1)) ?: '/';
$connection = new AMQPStreamConnection($url['host'], $url['port'] ?? 5672, $url['user'] ?? 'guest', $url['pass'] ?? 'guest', $vhost);
$channel = $connection->channel();

// A durable queue outlives the broker's process. Declaring it again is no error as long as the properties are the same,
// so producer and worker both declare it and it does not matter who is first.
$channel->queue_declare('lines', false, true, false, false);

// From now on the broker acknowledges each message when it is on disk. A refused one is an error here.
$channel->confirm_select();
$channel->set_nack_handler(function (AMQPMessage $message) {
    throw new RuntimeException('the broker refused line ' . $message->get('message_id'));
});

foreach ($files as $file) {
    $lines = file($file, FILE_IGNORE_NEW_LINES);
    if ($lines === false) {
        exit(1); // PHP has said why
    }
    foreach ($lines as $index => $line) {
        $channel->basic_publish(new AMQPMessage($line, [
            'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT,
            'content_type' => 'text/plain',
            'message_id' => basename($file) . ':' . ($index + 1),
            'application_headers' => new AMQPTable([
                'file' => basename($file),
                'line' => $index + 1,
                'lines' => count($lines),
            ]),
        ]), '', 'lines');
        if (($index + 1) % LINES_IN_FLIGHT === 0) {
            $channel->wait_for_pending_acks(SECONDS_TO_CONFIRM);
        }
    }
    $channel->wait_for_pending_acks(SECONDS_TO_CONFIRM);
    echo basename($file), ': ', count($lines), " lines sent and stored\n";
}

$channel->close();
$connection->close();
