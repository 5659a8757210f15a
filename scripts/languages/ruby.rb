require 'uri'
require 'net/http'

url = URI("https://api-stg.transak.com/partners/api/v2/webhooks")

http = Net::HTTP.new(url.host, url.port)
http.use_ssl = true

request = Net::HTTP::Get.new(url)
request["access-token"] = 'YOUR_ACCESS_TOKEN'

response = http.request(request)
puts response.read_body
