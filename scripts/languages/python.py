import requests

url = "https://api-stg.transak.com/partners/api/v2/webhooks"

headers = {"access-token": "YOUR_ACCESS_TOKEN"}

response = requests.get(url, headers=headers)

print(response.json())
