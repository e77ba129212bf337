"""The shim: routes that check a request's shape, call one function of the schema and map its error.

It holds no truth: any number of shims may stand side by side on one database, and killing one loses nothing.

app      the application: routers, error answers, guard             server   sockets, slow clients, signals
guard    Host, Origin, trace id, counting, the last resort          tokens   who may do what
bodies   strict JSON                                                answers  JSON answers, errors, ETags
engine   the connection pool: one named query, one answer           waiting  long polls
intents, runs, gates, artifacts, ops                                the routes
schemas, openapi, page                                              the document, and /docs without a CDN
health, admin, metrics                                              the admin port
"""
