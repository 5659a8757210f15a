-- An event that only public channels have told so far is a rumour; the first verified sighting makes it certain.
alter table event add column verified boolean not null default true;
