# Serves each request in two seconds.
require "fileutils"

run lambda { |env|
  FileUtils.touch("began")
  sleep 2
  [200, { "Content-Type" => "text/plain" }, ["served"]]
}
