"""What `faunalens serve` says on the terminal; the sentences of the screens are in `locales/`."""

REFUSED = "not for this address\n"

NEEDED = "the web app ({module})"
NOT_LOOPBACK = (
    "expected 127.0.0.1, ::1 or localhost, found {host!r}: others could then use the app without a "
    "password. Name a file of passwords with --auth (made with `faunalens password NAME`), or say "
    "--no-auth if something else, such as a reverse proxy, asks for one"
)
PORT_TAKEN = "cannot listen on {host} port {port}: {reason}; choose another with --port"
SERVING = "faunalens is at {url} (stop it with Ctrl-C)"
STORE = "decisions go to {store}"
ROOT_PATH = "expected a path such as /faunalens, without a slash at its end, found {path!r}"
NO_API_AUTH = "--api asks for no password: leave out --auth, or say --no-auth and let a proxy ask"
