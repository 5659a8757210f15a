-- How a message was to be believed when it came, so that trying it again does the same; null: from before this was kept.
alter table quarantine add column form text;
