import com.mashape.unirest.http.HttpResponse;
import com.mashape.unirest.http.Unirest;

public class Example {
    public static void main(String[] arguments) throws Exception {
        HttpResponse<String> response = Unirest.get("https://api-stg.transak.com/partners/api/v2/webhooks")
          .header("access-token", "YOUR_ACCESS_TOKEN")
          .asString();
        System.out.println(response.getBody());
        Unirest.shutdown();
    }
}
