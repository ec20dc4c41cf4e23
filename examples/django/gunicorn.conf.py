"""Read by gunicorn on its own, because it lies in the folder it starts in."""

import os

# ganger gives each process its PORT, as Heroku does.
bind = f"0.0.0.0:{os.environ.get('PORT', '5000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))

# To stdout, where the runner picks it up. gunicorn's own log goes to stderr.
accesslog = "-"

# It would lie in $HOME, one for all the apps of the user.
control_socket_disable = True
