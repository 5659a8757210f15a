const url = 'https://api-stg.transak.com/partners/api/v2/webhooks';
const options = {method: 'GET', headers: {'access-token': 'YOUR_ACCESS_TOKEN'}};

try {
  const response = await fetch(url, options);
  const data = await response.json();
  console.log(data);
} catch (error) {
  console.error(error);
}
