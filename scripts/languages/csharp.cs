using RestSharp;

var client = new RestClient("https://api-stg.transak.com/partners/api/v2/webhooks");
var request = new RestRequest(Method.GET);
request.AddHeader("access-token", "YOUR_ACCESS_TOKEN");
IRestResponse response = client.Execute(request);
System.Console.WriteLine(response.Content);
