"""Read by gunicorn on its own, because it lies in the folder it starts in."""

import os

bind = f"127.0.0.1:{os.environ['PORT']}"
workers = 2

# To stdout, where ganger picks it up. gunicorn's own log goes to stderr.
accesslog = "-"

# It would lie in $HOME, one for all the apps of the user.
control_socket_disable = True
