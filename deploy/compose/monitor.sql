-- What Waypost watches the servers with.
CREATE ROLE waypost_monitor LOGIN PASSWORD 'monitorpassword';
GRANT pg_monitor TO waypost_monitor;
