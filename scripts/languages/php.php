<?php
require_once('GuzzleHttp/autoload.php');

$client = new \GuzzleHttp\Client();

$response = $client->request('GET', 'https://api-stg.transak.com/partners/api/v2/webhooks', [
  'headers' => [
    'access-token' => 'YOUR_ACCESS_TOKEN',
  ],
]);

echo $response->getBody();
