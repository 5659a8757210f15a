import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

/** The same request without the library of Transak's example, for machines that cannot fetch it. */
public class Plain {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create("https://api-stg.transak.com/partners/api/v2/webhooks"))
          .header("access-token", "YOUR_ACCESS_TOKEN")
          .build();
        System.out.println(HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body());
    }
}
