use proptest::prelude::*;

use super::*;

/// A JWT, an AWS secret, 32 bytes in base64: made for these tests.
const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.Qk3v_9Zr-mN4xT7bW2cY5dL8fH1jP6sG0aE";
const AWS: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BYTES: &str = "q83vEjRWeJq83vEjRWeJq/83vEjRWeJq83vEjRWeJqw=";

fn shown(name: &str, value: &str) -> String {
    mask_variable(name, value).unwrap_or_else(|| value.to_owned())
}

#[test]
fn secrets_are_recognized_by_name() {
    let names = "
        SECRET SECRETS SECRET_KEY SECRET_KEY_BASE secretKeyBase CLIENT_SECRET MYSECRET
        TOKEN TOKENS API_TOKEN GITHUB_TOKEN GITHUBTOKEN ACCESS_TOKENS accessToken AUTHTOKEN TOKEN_BASE64
        PASSWORD PASSWORDS DB_PASSWORD PGPASSWORD DBPASSWORD REDIS_PASSWD PASSPHRASE PASSCODE GPG_PASSPHRASE
        PASS DB_PASS DBPASS SMTPPASS USERPASS PW DBPW ROOTPW MYSQL_PWD DBPWD userPwd
        KEY KEYS API_KEY API_KEYS APIKEY APIKEYS apiKey APIKey SECRETKEY PRIVATEKEY MYAPIKEY STRIPEKEY ENVKEY ACCESSKEY
        SIGNING_KEY ENCRYPTION_KEY RAILS_MASTER_KEY AWS_SECRET_ACCESS_KEY S3KEY KEY2 private.key x-api-key STRIPE_KEY
        CREDS DB_CREDS CREDENTIAL CREDENTIALS GOOGLE_CREDENTIALS AUTH AUTHORIZATION HTTP_AUTHORIZATION BASIC_AUTH
        BASICAUTH NPM_CONFIG__AUTH BEARER BEARER_TOKEN HEADERS OTEL_EXPORTER_OTLP_HEADERS PAT GITLAB_PAT OTP OTP_SECRET
        MNEMONIC SEED_PHRASE HMAC HMAC_KEY PEPPER PASSWORD_PEPPER SALT SALTS NONCE LOGIN_PASSWORD
        LICENSE_KEY SAS AZURE_SAS WEBHOOK SLACK_WEBHOOK DSN SENTRY_DSN PRIVATE JWT JWT_SECRET COOKIE SESSION_COOKIE
        SIGNATURE CERT TLS_CERT PIN USER_PIN VAULT_ROLE_SECRET_ID
        HONEYCOMB_WRITEKEY SEGMENT_WRITEKEY READKEY INGESTKEY APPINSIGHTS_INSTRUMENTATIONKEY LDAP_BINDPW PRIVKEY WG_PRIV
        RSA_PRIV SECRETKEYBASE SECRETBASE PASSWORDHASH OAUTH FASTLANE_SESSION SUPABASE_SERVICE_ROLE TLS_PEM ACCESS_CODE
        RECOVERY_CODE BACKUP_CODES PASSWRD PSW DB_PSW PASSWORT DB_KENNWORT SENHA CONTRASENA CONTRASEÑA PHPSESSID
        BUNDLE_GEMS__CONTRIBSYS__COM BUNDLE_RUBYGEMS__PKG__GITHUB__COM BUNDLE_GEMS__EXAMPLE__HOST
        PASSWORD_USER ADMIN_PASSWORD_DATABASE TOKEN_GITHUB_REGION DBPASS_HOST ADMIN_PW_NAME SECRET_STRIPE_NAME
        AUTH_HEADER X_HEADER_VALUE
    ";
    let mut wrong = Vec::new();
    for name in names.split_whitespace() {
        let values = ["x", "hunter2", "two words", "a=b&c", "/abc+/d=", "/pA9s/q8z/w0rd"];
        wrong
            .extend(values.into_iter().filter(|value| shown(name, value) != MASK).map(|value| (name, value)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn settings_and_identifiers_are_told_from_secrets() {
    for name in ["SEED", "RANDOM_SEED", "ENCRYPTION", "MAIL_ENCRYPTION", "LOGIN", "REQUIRE_LOGIN", "LICENSE"]
    {
        for value in ["42", "tls", "MIT", "none"] {
            assert_eq!(shown(name, value), value, "{name}");
        }
        for value in ["hunter2", "two words", "abandon ability able", "0x2a", "Zm9vYmFy"] {
            assert_eq!(shown(name, value), MASK, "{name}");
        }
    }
    for name in ["PRIMARY_KEY", "FOREIGN_KEYS", "SORT_KEY", "PARTITION_KEY", "FEATURE_KEYS"] {
        for value in ["id", "tenant_id,created_at", "1"] {
            assert_eq!(shown(name, value), value, "{name}");
        }
        for value in ["hunter2", "two words", "Zm9vYmFyQmF6", "abcdefghijklmnopqrstuvwxyz"] {
            assert_eq!(shown(name, value), MASK, "{name}");
        }
    }
    assert_eq!(
        shown("AZURE", "encryption=tls;primaryKey=Zm9v;x=1"),
        "encryption=tls;primaryKey=********;x=1"
    );
}

/// Values of a variable with an ordinary name, and what is shown of them.
const VALUES: &[(&str, &str)] = &[
    // URLs.
    ("postgres://u:p@ss@h:5432/db", "postgres://u:********@h:5432/db"),
    ("redis://:pa#ss/x@h:6379/0", "redis://:********@h:6379/0"),
    ("redis://:a@h1,redis://:b@h2", "redis://:********@h1,redis://:********@h2"),
    (
        "mongodb://u:p@h1:27017,h2:27017/db?authSource=admin",
        "mongodb://u:********@h1:27017,h2:27017/db?authSource=admin",
    ),
    ("smtp://bob@x.com:pw@mail.x.com:587", "smtp://bob@x.com:********@mail.x.com:587"),
    ("amqp://u:p w@h/v", "amqp://u:********@h/v"),
    ("see http://u:pw@h:80/x and https://a:b@c", "see http://u:********@h:80/x and https://a:********@c"),
    ("https://a.example/?next=https://u:pw@h/", "https://a.example/?next=https://u:********@h/"),
    ("https://ghp_abc@github.com/a/b", "https://********@github.com/a/b"),
    ("https://ghp_abc:x-oauth-basic@github.com/a/b", "https://********:********@github.com/a/b"),
    (
        "https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/42",
        "https://********@o1.ingest.sentry.io/42",
    ),
    ("https://Xk29dLq8sPw3nR7v@git.example.com/a.git", "https://********@git.example.com/a.git"),
    ("https://key123:@api.example.com/v1", "https://********:@api.example.com/v1"),
    ("http://localhost:3000/x?u=http://a:b@c", "http://localhost:3000/x?u=http://a:********@c"),
    ("u:hunter2@tcp(127.0.0.1:3306)/db", "u:********@tcp(127.0.0.1:3306)/db"),
    ("proxy=bob:hunter2@proxy.corp:8080", "proxy=bob:********@proxy.corp:8080"),
    ("jdbc:oracle:thin:scott/tiger@//h:1521/x", "jdbc:oracle:thin:scott/********@//h:1521/x"),
    // Parameters.
    ("jdbc:postgresql://h/d?user=fred&password=hunter2", "jdbc:postgresql://h/d?user=fred&password=********"),
    ("postgresql:///app?user=bob&password=hunter2", "postgresql:///app?user=bob&password=********"),
    ("https://localhost:9200?api_key=abc123", "https://localhost:9200?api_key=********"),
    ("postgres://u:p@h/db?password=inquery", "postgres://u:********@h/db?password=********"),
    ("postgres://h/db?password=a&b&sslmode=require", "postgres://h/db?password=********&sslmode=require"),
    ("https://h/x?token=a1&page=2", "https://h/x?token=********&page=2"),
    ("https://h/cb#access_token=a1&expires_in=2", "https://h/cb#access_token=********&expires_in=2"),
    (
        "https://a.blob.core.windows.net/c?sv=2022&sig=Ab%2Bc%3D&se=9",
        "https://a.blob.core.windows.net/c?sv=2022&sig=********&se=9",
    ),
    (
        "https://h/?Signature=x&client_secret=y&auth=z",
        "https://h/?Signature=********&client_secret=********&auth=********",
    ),
    ("https://h/?a=1&X-Amz-Credential=AK%2Fx&b=2", "https://h/?a=1&X-Amz-Credential=********&b=2"),
    // Connection strings.
    ("Server=x;User Id=sa;Password=hunter2", "Server=x;User Id=sa;Password=********"),
    ("Server=x;Pwd=a b=c;Database=d", "Server=x;Pwd=********;Database=d"),
    ("Password=two words;Server=x", "Password=********;Server=x"),
    ("Server=x; Password=\"a;b\"; Database=d", "Server=x; Password=\"********\"; Database=d"),
    (
        "jdbc:sqlserver://h:1433;database=d;user=sa;password=a&b;encrypt=true",
        "jdbc:sqlserver://h:1433;database=d;user=sa;password=********;encrypt=true",
    ),
    (
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abcd==;EndpointSuffix=core.windows.net",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=********;EndpointSuffix=core.windows.net",
    ),
    (
        "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=abc=",
        "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=********",
    ),
    ("host=h user=u password=hunter2 dbname=d", "host=h user=u password=******** dbname=d"),
    ("host=h password = 'it\\'s' dbname=d", "host=h password = '********' dbname=d"),
    (
        "c.redis.cache.windows.net:6380,password=ab=,ssl=True",
        "c.redis.cache.windows.net:6380,password=********,ssl=True",
    ),
    (
        "-Xmx1g -Dpassword=x -Djavax.net.ssl.keyStorePassword=y -Da=b",
        "-Xmx1g -Dpassword=******** -Djavax.net.ssl.keyStorePassword=******** -Da=b",
    ),
    // JSON and headers.
    (r#"{"user":"bob","password":"hunter2","port":1}"#, r#"{"user":"bob","password":"********","port":1}"#),
    (r#"{"password":"a\"b,c","x":1}"#, r#"{"password":"********","x":1}"#),
    (r#"{"keys":["a","b"],"x":1}"#, r#"{"keys":[********],"x":1}"#),
    (r#"{"secrets":{"db":"}"},"x":1}"#, r#"{"secrets":{********},"x":1}"#),
    (r#"{"pin":1234,"x":1}"#, r#"{"pin":********,"x":1}"#),
    (r#""{\"password\":\"hunter2\",\"x\":1}""#, r#""{\"password\":\"********\",\"x\":1}""#),
    (r#"{"db":"postgres://u:p@h/d","x":"y@z"}"#, r#"{"db":"postgres://u:********@h/d","x":"y@z"}"#),
    (r#"{"key":"AIzaSyA1b2"}"#, r#"{"key":"********"}"#),
    (r#"{"maps":"AIzaSyA1b2C3","a":1}"#, r#"{"maps":"********","a":1}"#),
    (r#""-H \"X-Api-Key: a\" -H \"X-Auth-Token: b\"""#, r#""-H \"X-Api-Key: ********""#),
    ("it's so: x?token=a'b&c=d isn't it", "it's so: x?token=********&c=d isn't it"),
    ("Authorization: Bearer abc.def", "Authorization: ********"),
    ("send Bearer abc.def.ghi now", "send Bearer ******** now"),
    // Commands.
    (
        "curl -fs -u elastic:hunter2 http://localhost:9200/",
        "curl -fs -u elastic:******** http://localhost:9200/",
    ),
    ("curl -H 'X-Api-Key: abc' http://localhost/", "curl -H 'X-Api-Key: ********' http://localhost/"),
    ("PGPASSWORD=hunter2 psql -h db -c 'select 1'", "PGPASSWORD=******** psql -h db -c 'select 1'"),
    ("PGPASSWORD='a b' psql", "PGPASSWORD='********' psql"),
    ("mysqladmin -uroot -phunter2 ping", "mysqladmin -uroot -p******** ping"),
    ("redis-cli -a hunter2 ping", "redis-cli -a ******** ping"),
    ("redis-cli -h mysql -a hunter2 ping", "redis-cli -h mysql -a ******** ping"),
    ("curl -uu:hunter2 http://localhost/", "curl -uu:******** http://localhost/"),
    ("curl -fu u:hunter2 http://localhost/", "curl -fu u:******** http://localhost/"),
    ("curl -fsuu:hunter2 http://localhost/", "curl -fsuu:******** http://localhost/"),
    ("curl --user=u:hunter2 http://localhost/", "curl --user=u:******** http://localhost/"),
    ("curl --user='u:a b' http://localhost/", "curl --user='u:********' http://localhost/"),
    ("curl -b sid=hunter2 localhost", "curl -b ******** localhost"),
    ("docker exec db mysqladmin ping -phunter2", "docker exec db mysqladmin ping -p********"),
    ("docker compose exec db redis-cli -a hunter2 ping", "docker compose exec db redis-cli -a ******** ping"),
    ("sh -c \"redis-cli -a hunter2 ping\"", "sh -c \"redis-cli -a ******** ping\""),
    ("sh -c 'redis-cli -a hunter2' && true", "sh -c 'redis-cli -a ********' && true"),
    ("sh -c \"redis-cli -a \\\"a b\\\" ping\"", "sh -c \"redis-cli -a \\\"********\\\" ping\""),
    (r#"["redis-cli","-a","hunter2","ping"]"#, r#"["redis-cli","-a","********","ping"]"#),
    (r#"["CMD", "redis-cli", "-a", "hunter2"]"#, r#"["CMD", "redis-cli", "-a", "********"]"#),
    ("a=$(redis-cli -a hunter2)", "a=$(redis-cli -a ********)"),
    ("web=cmd:redis-cli -a hunter2", "web=cmd:redis-cli -a ********"),
    (
        "kubectl exec db -- mysql -e 'select 1; select 2' -phunter2",
        "kubectl exec db -- mysql -e 'select 1; select 2' -p********",
    ),
    ("mysqladmin -p'a b' ping", "mysqladmin -p'********' ping"),
    ("mysqladmin '-phunter2' ping", "mysqladmin '-p********' ping"),
    ("mysqladmin -ph'a b'c ping", "mysqladmin -p******** ping"),
    ("mysql -p -h db", "mysql -p -h db"),
    ("sqlcmd -S db -U sa -P hunter2 -Q 'select 1'", "sqlcmd -S db -U sa -P ******** -Q 'select 1'"),
    ("/opt/mssql-tools/bin/sqlcmd -U sa -P 'a b'", "/opt/mssql-tools/bin/sqlcmd -U sa -P '********'"),
    ("sqlcmd -Phunter2", "sqlcmd -P********"),
    ("bcp d in f -P hunter2", "bcp d in f -P ********"),
    ("cypher-shell -u neo4j -p hunter2", "cypher-shell -u neo4j -p ********"),
    ("ldapwhoami -x -D cn=a -w hunter2", "ldapwhoami -x -D cn=a -w ********"),
    ("ldapsearch -xw hunter2", "ldapsearch -xw ********"),
    ("http -a u:hunter2 localhost", "http -a ******** localhost"),
    ("xh --auth=u:hunter2 localhost", "xh --auth=******** localhost"),
    ("rabbitmqctl authenticate_user u hunter2", "rabbitmqctl authenticate_user u ********"),
    ("rabbitmqctl add_user u 'a b' && true", "rabbitmqctl add_user u '********' && true"),
    ("influx -username u -password hunter2", "influx -username u -p******** ********"),
    ("nodetool -pw hunter2 status", "nodetool -p******** ******** status"),
    ("mosquitto_sub -t x -P hunter2", "mosquitto_sub -t x -P ********"),
    ("docker login -u u -p hunter2", "docker login -u u -p ********"),
    ("smbclient -U u%hunter2 //h/x", "smbclient -U u%******** //h/x"),
    ("sqlplus -s u/hunter2", "sqlplus -s u/********"),
    ("printf 'AUTH hunter2\\nPING' | nc h 1", "printf 'AUTH ********' | nc h 1"),
    ("psql -c \"alter user u password 'hunter2'\"", "psql -c \"alter user u password '********'\""),
    ("machine h login u password hunter2", "machine h login u password ********"),
    ("http://Sh0rtT0ken_14@localhost/", "http://********@localhost/"),
    ("http://SHORTTOKENABCD@localhost/", "http://********@localhost/"),
    ("http://hunter2@localhost/", "http://********@localhost/"),
    ("vault login --token s3 -x", "vault login --token ******** -x"),
    // Webhooks.
    (
        "https://hooks.slack.com/services/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",
        "https://hooks.slack.com/services/********",
    ),
    ("https://discord.com/api/webhooks/1234/abc", "https://discord.com/api/webhooks/********"),
    (
        "https://ptb.discordapp.com/api/v10/webhooks/1234/abc",
        "https://ptb.discordapp.com/api/v10/webhooks/********",
    ),
    (
        "https://outlook.office.com/webhook/a@b/IncomingWebhook/c/d",
        "https://outlook.office.com/webhook/********",
    ),
    ("https://acme.webhook.office.com/webhookb2/a@b/c", "https://acme.webhook.office.com/********"),
    ("https://hc-ping.com/550e8400-e29b-41d4-a716-446655440000", "https://hc-ping.com/********"),
    ("curl hc-ping.com/550e8400-e29b-41d4-a716-446655440000", "curl hc-ping.com/********"),
    ("https://nosnch.in/c2354d53d2", "https://nosnch.in/********"),
    // Other forms.
    ("system/hunter2@localhost:1521/XE", "system/********@localhost:1521/XE"),
    ("scott/hunter2@//h/x", "scott/********@//h/x"),
    (
        "<db><user>u</user><password>hunter2</password></db>",
        "<db><user>u</user><password>********</password></db>",
    ),
    ("<password type='x'><![CDATA[a<b]]></password>", "<password type='x'>********</password>"),
    ("<x><token/><y>1</y></x>", "<x><token/><y>1</y></x>"),
    ("h:5432:db:user:hunter2", "h:5432:db:user:********"),
    ("db:5432:*:app:a:b", "db:5432:*:app:********"),
    ("*:*:*:postgres:hunter2", "*:*:*:postgres:********"),
    (
        "['user' => 'u', 'password' => 'hunter2', 'x' => 1]",
        "['user' => 'u', 'password' => '********', 'x' => 1]",
    ),
    ("{:password => \"hunter2\"}", "{:password => \"********\"}"),
    ("password := \"hunter2\"", "password := \"********\""),
    ("https://api.telegram.org/bot123:abc/send", "https://api.telegram.org/bot********"),
    // Tokens.
    (JWT, MASK),
    ("SG.x.y", MASK),
    ("SG.aB1_c.dE2-f", MASK),
    ("sk_test_4eC39", MASK),
    ("sk_live_51H8abcdefghijk", MASK),
    ("rk_live_1", MASK),
    ("whsec_abc", MASK),
    ("ghp_abc123", MASK),
    ("gho_abc123", MASK),
    ("github_pat_11A_b", MASK),
    ("glpat-abc-1_2", MASK),
    ("npm_abC123", MASK),
    ("pypi-AgEIcHlw", MASK),
    ("xoxb-1-2-abc", MASK),
    ("xoxp-1-2-abc", MASK),
    ("xapp-1-A-b", MASK),
    ("AKIAIOSFODNN7EXAMPLE", MASK),
    ("ASIAIOSFODNN7EXAMPLE", MASK),
    ("AIzaSyA1b2C3d4", MASK),
    ("hvs.CAESI", MASK),
    ("dop_v1_a1", MASK),
    ("shpat_a1", MASK),
    ("rzp_live_a1", MASK),
    ("EAACEdEose0cBA", MASK),
    ("lin_api_a1", MASK),
    ("sbp_a1", MASK),
    ("figd_a1", MASK),
    ("hf_abcdefgh", MASK),
    ("r8_abcdefgh", MASK),
    ("sq0atp-a1", MASK),
    ("sk-proj-abcdefgh1234", MASK),
    ("AGE-SECRET-KEY-1QQPQ", MASK),
    ("pscale_pw_a1", MASK),
    ("dp.st.dev.a1b2", MASK),
    ("tskey-auth-a1-b2", MASK),
    ("$2b$12$KIXabc./def", MASK),
    ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", MASK),
    ("MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs", MASK),
    ("a ghp_abc123, b", "a ********, b"),
    // Keys.
    ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n", "********\n"),
    ("-----BEGIN RSA PRIVATE KEY-----\\nabc", MASK),
    ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc", MASK),
    // Long and random.
    (AWS, MASK),
    (BYTES, MASK),
    ("q83vEjRWeJq83vEjRWeJqw==", MASK),
    ("0123456789abcdef0123456789abcdef", MASK),
    ("deadbeefdeadbeefdeadbeefdeadbeef", MASK),
    ("Zk3v9ZrmN4xT7bW2cY5dL8fH1jP6sG0a", MASK),
    ("https://example.com/hook/x7Vd9K2mPqR4sT6uW8yZ1aBc", "https://example.com/hook/********"),
    ("https://example.com/app/x7Vd9K2mPqR4sT6uW8yZ1aBc", "https://example.com/app/********"),
];

#[test]
fn secrets_are_recognized_by_value() {
    let wrong = VALUES.iter().filter(|(value, expected)| shown("THING", value) != *expected);
    let wrong: Vec<_> = wrong.map(|(value, _)| (value, shown("THING", value))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_host_of_a_secret_url_stays_readable() {
    let table = [
        ("SENTRY_DSN", "https://abc@o1.ingest.sentry.io/42", "https://abc@o1.ingest.sentry.io/********"),
        ("SLACK_WEBHOOK_URL", "https://hooks.example.com/a/b?c=d", "https://hooks.example.com/********"),
        ("DATABASE_DSN", "postgres://u:p@h/db", "postgres://u:********@h/********"),
        ("DSN", "u:p@tcp(h)/db", MASK),
        ("WEBHOOK_PORT", "9000", "9000"),
    ];
    for (name, value, expected) in table {
        assert_eq!(shown(name, value), expected, "{name}");
    }
}

const HARMLESS: &[(&str, &str)] = &[
    ("PATH", "/usr/local/bin:/usr/bin:/nix/store/3n58xw4373jp0ljirf06d8077j15pc4j-git-2.44.0/bin"),
    ("PWD", "/home/ada"),
    ("OLDPWD", "/srv/app"),
    ("HOME", "/home/ada"),
    ("LANG", "de_DE.UTF-8"),
    ("TERM", "xterm-256color"),
    ("SHELL", "/bin/zsh"),
    ("TZ", "Europe/Berlin"),
    ("PORT", "5000"),
    ("HOST", "localhost"),
    ("DEBUG", "1"),
    ("EMPTY_TOKEN", ""),
    ("USE_AUTH", "true"),
    ("SESSION_COOKIE_SECURE", "False"),
    ("URL", "https://example.com:80/a"),
    ("PUBLIC_URL", "https://www.example.com/de/shop?page=2&sort=price#top"),
    ("VITE_URL", "http://localhost:5173/@vite/client"),
    ("UNPKG", "https://unpkg.com/@scope/pkg@1.2.3/dist/index.js"),
    ("DATABASE_URL", "postgres://localhost/shop_development"),
    ("DATABASE_URL", "postgres://shop@localhost/db"),
    ("DATABASE_URL", "postgres://my_application_user@db.internal:5432/shop"),
    ("DATABASE_URL", "postgresql:///shop?host=/var/run/postgresql"),
    ("REDIS_URL", "redis://localhost:6379/0"),
    ("MONGO_URL", "mongodb://localhost:27017/shop?replicaSet=rs0&authSource=admin"),
    ("GIT_URL", "ssh://git@host/a/b.git"),
    ("GIT_REMOTE", "git@github.com:acme/shop.git"),
    ("DB_HOST", "shop.cluster-c1a2b3c4d5e6f7.eu-west-1.rds.amazonaws.com"),
    ("DB", "postgres://app@ec2-52-12-34-56.eu-west-1.compute.amazonaws.com:5432/d"),
    ("JDBC_URL", "jdbc:postgresql://localhost:5432/shop?user=fred&sslmode=disable"),
    ("ADO", "Server=localhost;Database=shop;Trusted_Connection=True"),
    ("GIT_COMMIT", "440aa1f0c2d4e6a8b0c2d4e6a8b0c2d4e6a8b0c2"),
    ("SOURCE_VERSION", "440aa1f0c2d4e6a8b0c2d4e6a8b0c2d4e6a8b0c2"),
    ("HEROKU_SLUG_COMMIT", "440aa1f0c2d4e6a8b0c2d4e6a8b0c2d4e6a8b0c2"),
    ("REQUEST_ID", "550e8400-e29b-41d4-a716-446655440000"),
    ("IMAGE", "nginx@sha256:440aa1f0c2d4e6a8b0c2d4e6a8b0c2d4e6a8b0c2440aa1f0c2d4e6a8b0c2d4e6"),
    ("VERSION", "1.2.3-rc.4+build.20240115"),
    ("RELEASE", "release-2024-01-15-build42"),
    ("BRANCH", "feature/new-checkout-2024"),
    ("NODE_OPTIONS", "--max-old-space-size=4096 --enable-source-maps"),
    ("JAVA_OPTS", "-Xmx512m -Dfile.encoding=UTF-8"),
    ("DJANGO_SETTINGS_MODULE", "shop.settings.local"),
    ("RAILS_ENV", "development"),
    ("LS_COLORS", "rs=0:di=01;34:ln=01;36:*.tar=01;31:*.tgz=01;31"),
    ("AWS_REGION", "eu-central-1"),
    ("ARN", "arn:aws:iam::123456789012:role/shop-worker"),
    ("EMAIL", "ada.lovelace@example.com"),
    ("FROM", "Ada <ada@example.com>, Bob <bob@example.com>"),
    ("CRON", "*/5 * * * *"),
    ("FEATURES", "new-checkout,beta-search,dark-mode"),
    ("CONFIG", r#"{"cache":{"ttl":60,"hosts":["a:1","b:2"]},"debug":true}"#),
    ("MONKEY", "george"),
    ("TURKEY", "ankara"),
    ("KEYBOARD", "de"),
    ("KEYMAP", "vi"),
    ("KEY_PREFIX", "shop:"),
    ("COMPASS", "north"),
    ("PASSENGER_APP_ENV", "production"),
    ("BYPASS", "x"),
    ("GIT_AUTHOR_NAME", "Ada Lovelace"),
    ("AUTHOR", "ada"),
    ("SSH_AUTH_SOCK", "/tmp/ssh-Ab12Cd34Ef56Gh78Ij90/agent.123"),
    ("SSH_AUTH_SOCK", "/private/tmp/com.apple.launchd.abc/Listeners"),
    ("SSH_ASKPASS", "/usr/bin/ssh-askpass"),
    ("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/home/ada/keys/shop.json"),
    ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
    ("TLS_KEY", "./certs/key.pem"),
    ("PGPASSFILE", "/home/ada/.pgpass"),
    ("AUTH_URL", "https://login.example.com/oauth2/authorize"),
    ("TOKEN_TTL", "3600"),
    ("JWT_EXPIRES_IN", "7d"),
    ("TOKENS_PER_MINUTE", "100"),
    ("INVOCATION_ID", "0123456789abcdef0123456789abcdef"),
    ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus,guid=0123456789abcdef0123456789abcdef"),
    ("MAX_TOKENS", "4096"),
    ("TOKENIZERS_PARALLELISM", "false"),
    ("JWT_ALGORITHM", "HS256"),
    ("COOKIE_DOMAIN", ".example.com"),
    ("BASIC_AUTH_USER", "admin"),
    ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus"),
    ("SESSION_MANAGER", "local/host:@/tmp/.ICE-unix/1234,unix/host:/tmp/.ICE-unix/1234"),
    ("XAUTHORITY", "/home/ada/.Xauthority"),
    ("XDG_RUNTIME_DIR", "/run/user/1000"),
    ("LESSOPEN", "| /usr/bin/lesspipe %s"),
    ("PS1", r"\u@\h:\w\$ "),
    ("PGSERVICE", "host=localhost dbname=shop user=ada"),
    ("STRIPE_PRICE", "price_basic"),
    ("WORDS", "the key to this is no secret, token or so"),
    ("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1],.example.com"),
    ("ORIGINS", "http://localhost:3000,https://shop.example.com"),
    ("IPV6", "http://[::1]:3000/@x:y"),
    ("NPM", "npm:left-pad@1.3.0"),
    ("THING", "actions/checkout@v4"),
    ("THING", "ghcr.io/acme/shop@sha256:440aa1f0c2d4e6a8b0c2d4e6a8b0c2d4e6a8b0c2440aa1f0c2d4e6a8b0c2d4e6"),
    ("THING", "shop/web@sha256:440aa1f0c2d4e6a8b0c2d4e6a8b0c2d4e6a8b0c2440aa1f0c2d4e6a8b0c2d4e6"),
    ("THING", "02:42:ac:11:00:02 2001:db8:1:2:3:4:5:6 12:34:56"),
    ("THING", "src/main.rs:12:5: error: x"),
    ("HEADER_COLOR", "#336699"),
    ("CORS_HEADERS", "X-Requested-With, Content-Type"),
    ("CORS_ALLOWED_HEADERS", "X-Requested-With"),
    ("PRIVATE_NETWORK", "10.0.0.0/8"),
    ("PASS_THROUGH", "always"),
    ("SALT_MASTER", "salt.internal"),
    ("SESSION_STORE", "redis"),
    ("DESKTOP_SESSION", "ubuntu-xorg"),
    ("COUNTRY_CODE", "DE"),
    ("SERVICE_NAME", "shop"),
    ("TOKEN_ISSUER", "shop.example.com"),
    ("SECRET_NAME", "shop/production"),
    ("SECRET_REGION", "eu-central-1"),
    ("AUTH_SERVICE_HOST", "10.0.0.7"),
    ("PASSWORD_MIN_LENGTH", "12"),
    ("PASSWORD_FILE", "password.txt"),
    ("BUNDLE_BUILD__NOKOGIRI", "--use-system-libraries"),
    ("BUNDLE_LOCAL__RACK", "../rack"),
    ("BUNDLE_WITHOUT", "development:test"),
    ("SECRETARY", "ada"),
    ("GIT_URL", "https://ada@bitbucket.org/acme/shop.git"),
    ("RUN", "java -Durl=http://localhost:80/ -jar shop.jar -p 5000"),
    ("RUN", "psql -h localhost -p 5432 -U shop -c 'select 1'"),
    ("RUN", "pg_isready -q -h db -p 5432 -U postgres"),
    ("RUN", "docker compose exec -T web bin/rails -p 3000 -u"),
    ("RUN", "curl -fsS --max-time 5 http://localhost:9200/_cluster/health"),
    ("RUN", "bundle exec puma -p 3000 -b tcp://127.0.0.1"),
    ("RUN", "redis-cli -h localhost -p 6379 ping | grep PONG"),
    ("RUN", "nc -z localhost 5432 && mkdir -p tmp"),
    ("DATE", "2026-11-29T01:02:03+01:00"),
];

#[test]
fn harmless_values_stay_readable() {
    let wrong: Vec<_> =
        HARMLESS.iter().filter_map(|(name, value)| Some((name, mask_variable(name, value)?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_secret_at_the_end_of_a_long_value_is_masked() {
    let pieces = [
        "password=",
        "a password=x;",
        "http://",
        "a@b:",
        "\"key\":[",
        "x=' key=y",
        "PRIVATE KEY",
        "a.",
        "/",
        "é",
    ];
    for piece in pieces {
        let value = piece.repeat(50_000 / piece.len()) + " ghp_Abcdef123";
        let shown = shown("THING", &value);
        assert!(!shown.contains("Abcdef123"), "{piece}");
    }
}

/// Templates with `{}` for a secret, and the name of the variable.
const FORMS: &[(&str, &str)] = &[
    ("API_TOKEN", "{}"),
    ("DATABASE_URL", "postgres://u:{}@h:5432/db"),
    ("DATABASE_URL", "postgres://h/db?user=u&password={}&sslmode=require"),
    ("URLS", "redis://:{}@h1,redis://:{}@h2:6379/1"),
    ("JDBC", "jdbc:sqlserver://h:1433;user=sa;password={};encrypt=true"),
    ("ADO", "Server=x;User Id=sa;Password={};Database=d"),
    ("ADO", "Password={};Server=x"),
    ("AZURE", "AccountName=a;AccountKey={};EndpointSuffix=core.windows.net"),
    ("LIBPQ", "host=h password={} dbname=d"),
    ("LIBPQ", "password={}"),
    ("JSON", r#"{"user":"bob","password":"{}","port":1}"#),
    ("JSON", r#"{"tokens":["{}","{}"]}"#),
    ("JSON", r#"{"url":"amqp://u:{}@h/","x":"a@b"}"#),
    ("JSON", r#"{"a":"{\"api_key\":\"{}\"}"}"#),
    ("CMD", "PGPASSWORD={} psql -h db"),
    ("CMD", "curl -s -u bob:{} http://localhost:9200/"),
    ("CMD", "curl -H 'Authorization: Bearer {}' http://localhost:9200/"),
    ("CMD", "vault --token {} status"),
    ("HOOK", "https://hooks.slack.com/services/T1/B1/{}"),
    ("HOOK", "https://discord.com/api/webhooks/1/{}"),
    ("MY_WEBHOOK_URL", "https://example.com/in/{}"),
    ("SAS", "https://a.blob.core.windows.net/c?sv=2022&sig={}"),
    ("PEM", "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----"),
    ("STRIPE", "sk_live_{}"),
    ("GIT", "https://ghp_{}@github.com/a/b.git"),
    ("AGE", "AGE-SECRET-KEY-1{}"),
    ("REDIS", "h:6380,password={},ssl=True"),
    ("GO", "bob:{}@tcp(h:3306)/db"),
];

proptest! {
    /// Nothing of a secret is left, in any of these forms.
    #[test]
    fn no_part_of_a_secret_is_shown(form in 0..FORMS.len(), secret in "[A-Z][a-z0-9]{2}[A-Za-z0-9+/_!*.~-]{0,40}[0-9Q][A-Z]{4}") {
        let (name, form) = FORMS[form];
        let is_web = ["sk_live", "https://", "AGE", "http://"].iter().any(|it| form.contains(it));
        let secret: String = if is_web { secret.replace(['+', '/', '!', '*', '~', '.'], "x") } else { secret };
        let text = shown(name, &form.replace("{}", &secret));
        prop_assert!(text.contains(MASK), "{}", text);
        for part in secret.as_bytes().windows(5) {
            let part = std::str::from_utf8(part).expect("ASCII");
            prop_assert!(!text.contains(part), "{} shows {}", text, part);
        }
    }

    /// No value causes a panic, and masking what is shown changes nothing more.
    #[test]
    fn any_text_is_masked_without_a_panic(name in "\\PC{0,12}", value in "(\\PC|[:@/?&=;,\"' {}\\[\\]\\\\\n]|://|password|key){0,40}") {
        if let Some(shown) = mask_variable(&name, &value) {
            prop_assert!(shown.contains(MASK));
        }
        let _ = mask_text(&value);
    }
}

#[test]
fn random_words_are_recognized() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    // A fixed sequence, since one word in a million is missed: xorshift64 (Marsaglia, 2003).
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..4).flat_map(|_| next()).collect();
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        for value in [STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes), hex] {
            assert_eq!(shown("THING", &value), MASK, "{value}");
        }
    }
}
