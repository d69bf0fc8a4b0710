SELECT set_config('search_path', 'a', false), nextval('s'::regclass)
