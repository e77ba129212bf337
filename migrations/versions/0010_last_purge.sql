-- Every purge writes one row, so that a start whose snapshot is older (repeatable read, serializable) fails with 40001 instead of running a purged run again.

insert into app.settings (key, value) values ('last_purge', 'null') on conflict do nothing;
comment on column app.settings.key is 'default_recipe, oc_mode, sbx_mode, app_version, test_database; clock_offset (seconds; only app.advance writes it); code_hash, code_objects (the replay); traces_until (epoch seconds; only app.take_ends writes it); last_purge (epoch ms; only purges write it)';
