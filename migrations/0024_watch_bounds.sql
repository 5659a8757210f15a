-- Finds whose an API key is, or was: a channel that is named after one is nobody else's to watch.
create index partner_by_api_key on partner (api_key);
