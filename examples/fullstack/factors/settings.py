"""Settings; where the database and Redis are is ganger's word."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# ganger gives each process the ports of all others, as it does for `ganger run`.
POSTGRES_PORT = os.environ["GANGER_PROCESS_DB_PORT"]
REDIS_PORT = os.environ["GANGER_PROCESS_REDIS_PORT"]

DEBUG = os.environ.get("DEBUG", "0") == "1"
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = ["django.contrib.staticfiles", "factors"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
ROOT_URLCONF = "factors.urls"
WSGI_APPLICATION = "factors.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        # The folder of the socket; its name ends with the port.
        "HOST": str(BASE_DIR / "data/postgres"),
        "PORT": POSTGRES_PORT,
        "USER": os.environ["PGUSER"],
        "NAME": os.environ["PGDATABASE"],
        # A connection that a restart of the database has cut is made again.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TIME_ZONE = "UTC"

# What esbuild makes is served where it lies, as it is at the moment.
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "frontend/dist"]
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_USE_FINDERS = DEBUG
